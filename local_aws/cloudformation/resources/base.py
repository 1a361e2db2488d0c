"""The interface between the engine and the providers of resource types."""

from __future__ import annotations

import json
import re
import threading
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from botocore import xform_name
from botocore.exceptions import ClientError

from local_aws.cloudformation.functions import Value
from local_aws.context import Context
from local_aws.iam.principals import AccessKey
from local_aws.service_models import service_model

Properties = dict[str, Value]


class ResourceError(Exception):
    """A resource could not be created, changed or deleted.

    Args:
        reason: The text in the stack's event.
        physical_id: Of what was created all the same and has to be deleted in the rollback.
    """

    def __init__(self, reason: str, physical_id: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.physical_id = physical_id


class CancelledError(ResourceError):
    """Cancelled because another resource of the same operation failed."""


@dataclass(frozen=True)
class Request:
    """One call of a provider.

    Args:
        properties: The resource's properties, with every function resolved.
        token: Ends generated names: the same in a second attempt, another for a replacement.
        cancelled: Set once another resource has failed, so that waiting is pointless.
        physical_id: Of the resource to update or delete.
        old: The properties that an update replaces.
        key: Of the principal that works on the stack; default: the administrator's.
    """

    context: Context
    region: str
    stack_id: str
    stack_name: str
    logical_id: str
    type: str
    properties: Properties
    token: str
    cancelled: threading.Event = field(default_factory=threading.Event)
    physical_id: str = ""
    old: Properties = field(default_factory=dict)
    key: AccessKey | None = None

    def client(self, service: str) -> Any:
        """A client in the stack's region."""
        return self.context.client(service, self.region, self.key)

    def name(self, longest: int = 64) -> str:
        """A name made of stack, logical id and token, of at most `longest` characters."""
        tail = f"-{self.token}"
        stem = f"{self.stack_name}-{self.logical_id}"
        if len(stem) + len(tail) > longest:
            half = (longest - len(tail) - 1) // 2
            stem = f"{self.stack_name[:half]}-{self.logical_id[:half]}"
        return stem + tail

    def call(self, service: str, operation: str, properties: Properties) -> Properties:
        """The answer to an API operation with `properties` as its input; see `shaped`."""
        method = getattr(self.client(service), xform_name(operation))
        return cast(Properties, method(**shaped(service, operation, properties)))

    def remove(self, service: str, operation: str, properties: Properties) -> None:
        """Calls an API operation that may find nothing to delete."""
        try:
            self.call(service, operation, properties)
        except ClientError as error:
            if not missing(error):
                raise

    def retag(self, service: str, remove: str, add: str, resource: Properties, tags: Value) -> None:
        """Untags what is no longer in the template, and sets `tags`.

        Args:
            remove: The operation that removes tags, e.g. "UntagRole".
            add: The operation that sets them, e.g. "TagRole".
            resource: The arguments that name the resource.
            tags: In the form that `add` takes.
        """
        removed = sorted(set(tag_map(self.old)) - set(tag_map(self.properties)))
        if removed:
            self.call(service, remove, {**resource, "TagKeys": removed})
        if tags:
            self.call(service, add, {**resource, "Tags": tags})

    def wait_until(self, ready: Callable[[], bool], *, seconds: float, what: str) -> None:
        """Polls `ready` until it is true.

        Raises:
            CancelledError: Another resource failed meanwhile.
            ResourceError: It took longer than `seconds`.
        """
        deadline = time.monotonic() + seconds
        pause = 0.05
        while not ready():
            if self.cancelled.wait(pause):
                raise CancelledError(f"{what} cancelled")
            if time.monotonic() > deadline:
                raise ResourceError(f"{what} did not finish within {seconds:.0f} seconds")
            pause = min(pause * 1.5, 0.2)


@dataclass(frozen=True)
class Result:
    """The outcome of a create or an update."""

    physical_id: str
    attributes: Properties = field(default_factory=dict)


class Provider(ABC):
    """Manages resources of one type.

    Every method may raise ResourceError or botocore's ClientError.
    """

    # How the type takes tags: "list" (of Key and Value), "map", or "" for not at all.
    tags: str = ""
    # Whether resources of the type do nothing on the local AWS.
    idle: bool = False

    @abstractmethod
    def create(self, request: Request) -> Result:
        """Creates the resource."""

    def update(self, request: Request) -> Result | None:
        """Changes the resource in place. May be called twice. Does nothing by default.

        Returns:
            None if id and attributes stay as they are. Another id means a new resource.
        """
        del request
        return None

    def delete(self, request: Request) -> None:  # noqa: B027  not abstract
        """Removes the resource if it still exists. Does nothing by default."""

    def is_idle(self, properties: Properties) -> bool:
        """Whether a resource with these properties, perhaps unresolved, does nothing here."""
        del properties
        return self.idle


class NoEffect(Provider):
    """A type that is accepted and created nowhere.

    Args:
        prefix: of generated ids, such as `vpc`; by default a resource's name is its id.
        attribute: what Fn::GetAtt finds the id by, besides `Id`.
    """

    idle = True

    def __init__(self, prefix: str = "", attribute: str = "Id") -> None:
        self._prefix = prefix
        self._attribute = attribute

    def create(self, request: Request) -> Result:
        if self._prefix:
            physical_id = f"{self._prefix}-{uuid.uuid4().hex[:17]}"
            return Result(physical_id, {"Id": physical_id, self._attribute: physical_id})
        named = [value for key, value in request.properties.items() if key.endswith("Name")]
        name = named[0] if named and isinstance(named[0], str) else request.name()
        service = request.type.split("::")[1].lower()
        account = request.context.account_id
        arn = f"arn:aws:{service}:{request.region}:{account}:{request.logical_id}/{name}"
        return Result(name, {"Arn": arn, "Id": name})


@dataclass(frozen=True)
class Declared(Provider):
    """A type that one API operation each creates, updates and deletes.

    Every operation gets the resource's properties, and all but the first those in `key`. `id`,
    `key` and `attributes` are format strings over the properties, `region` and `account`; on
    creation also over the operation's answer, later over the physical `id` and its `parts` (split
    at colons, slashes and bars).

    Args:
        operations: The API operations that create, update and delete. Without the second, all
            properties are create-only or have no effect here.
        id: The physical id.
        key: The properties that name an existing resource.
        attributes: What Fn::GetAtt finds.
        name: The property that gets a generated name if it is absent.
        longest_name: The most characters of a generated name.
        lower_case: Whether a generated name is in lower case.
        prepare: The properties for the creation and, without `changes`, for updates.
        changes: The properties for updates.
        settle: Called after the creation and each update with the physical id.
    """

    service: str
    operations: tuple[str, str, str]
    id: str
    key: Mapping[str, str]
    attributes: Mapping[str, str] = field(default_factory=dict)
    name: str = ""
    longest_name: int = 64
    lower_case: bool = False
    tags: str = ""
    idle: bool = False
    prepare: Callable[[Request], Properties] = lambda request: request.properties
    changes: Callable[[Request], Properties] | None = None
    settle: Callable[[Request, str], None] = lambda _request, _physical_id: None

    def create(self, request: Request) -> Result:
        properties = self.prepare(request)
        if self.name and not properties.get(self.name):
            name = request.name(self.longest_name)
            properties = {**properties, self.name: name.lower() if self.lower_case else name}
        answer = request.call(self.service, self.operations[0], properties)
        values = {**_place(request), **properties, **answer}
        physical_id = self.id.format(**values)
        self.settle(request, physical_id)
        return Result(physical_id, _fill(self.attributes, values))

    def update(self, request: Request) -> None:
        if self.operations[1]:
            properties = (self.changes or self.prepare)(request)
            request.call(self.service, self.operations[1], {**properties, **self._key(request)})
        self.settle(request, request.physical_id)

    def delete(self, request: Request) -> None:
        properties = {**request.properties, **self._key(request)}
        request.remove(self.service, self.operations[2], properties)

    def _key(self, request: Request) -> Properties:
        parts = re.split("[:/|]", request.physical_id)
        known = {**_place(request), **request.properties, "id": request.physical_id}
        return _fill(self.key, {**known, "parts": parts})


def _place(request: Request) -> Properties:
    return {"region": request.region, "account": request.context.account_id}


def _fill(templates: Mapping[str, str], values: Properties) -> Properties:
    return {key: template.format(**values) for key, template in templates.items()}


def missing(error: ClientError) -> bool:
    """Whether a service refused because the resource does not exist."""
    code: str = error.response["Error"]["Code"]
    said: str = error.response["Error"]["Message"]
    return (
        error.response["ResponseMetadata"].get("HTTPStatusCode") == 404
        or any(word in code for word in ("NotFound", "NoSuch", "DoesNotExist"))
        or "Could not find" in said
    )


def shaped(service: str, operation: str, properties: Properties) -> dict[str, Any]:
    """`properties` as the input of an API operation.

    CloudFormation's properties are mostly the API's members in other capitals. Capitals are
    ignored, values get the type that the API wants, and unknown members are left out.
    """
    shape = service_model(service).operation_model(operation).input_shape
    return _shaped(shape, properties) if shape is not None else {}


def _shaped(shape: Any, value: Value) -> Any:  # noqa: PLR0911
    match shape.type_name:
        case "structure":
            if shape.is_document_type or not isinstance(value, dict):
                return value
            given = {key.lower(): item for key, item in value.items()}
            return {
                name: _shaped(member, given[name.lower()])
                for name, member in shape.members.items()
                if name.lower() in given
            }
        case "list":
            items = value if isinstance(value, list) else [value]
            return [_shaped(shape.member, item) for item in items]
        case "map":
            # Where the API has tags as a map, CloudFormation mostly has a list.
            if isinstance(value, list):
                value = {item["Key"]: item["Value"] for item in value}
            return {key: _shaped(shape.value, item) for key, item in value.items()}
        case "boolean":
            return is_true(value)
        case "integer" | "long":
            return int(value)
        case "double" | "float":
            return float(value)
        case "blob":
            return value.encode() if isinstance(value, str) else value
    return text(value)


def text(value: Value) -> str:
    """A scalar as CloudFormation writes it; an object as JSON."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        return json.dumps(value)
    return str(value)


def is_true(value: Value) -> bool:
    """A boolean as templates write it: true or "true"."""
    return str(value).lower() == "true"


def tag_map(properties: Properties) -> dict[str, str]:
    """The Tags property, whichever form it has, as a map."""
    tags = properties.get("Tags", [])
    if isinstance(tags, dict):
        return {key: text(value) for key, value in tags.items()}
    return {tag["Key"]: text(tag["Value"]) for tag in tags}


def tag_list(properties: Properties) -> list[dict[str, str]]:
    """The Tags property, whichever form it has, as a list of Key and Value."""
    return [{"Key": key, "Value": value} for key, value in tag_map(properties).items()]
