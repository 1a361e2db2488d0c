"""The stacks and the running work on them, for the API's operations."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

from botocore.exceptions import ClientError

from local_aws.cloudformation.changes import preview
from local_aws.cloudformation.engine import Operation
from local_aws.cloudformation.functions import UNKNOWN
from local_aws.cloudformation.model import ChangeSet, Definition, Stack
from local_aws.cloudformation.stacks import Stacks
from local_aws.cloudformation.template import Template
from local_aws.context import Context
from local_aws.iam.access import Access, AccessDeniedError
from local_aws.iam.principals import Principal
from local_aws.service_errors import ApiError

Answer = dict[str, Any]

logger = logging.getLogger(__name__)

# The CDK CLI polls every 5 seconds. Waiting for the end of an operation before answering its start,
# or a poll, saves that pause.
_PATIENCE_AT_START = 4.0
_PATIENCE_WHEN_ASKED = 50.0
_NO_CHANGES = (
    "The submitted information didn't contain changes. "
    "Submit different information to create a change set."
)


@dataclass(frozen=True)
class Caller:
    """The region that the caller signed for, the name of its program, and who it is."""

    region: str
    agent: str
    principal: Principal

    @property
    def is_cdk(self) -> bool:
        """Whether it is the CDK CLI, which polls stacks only to wait for them."""
        return "aws-cdk" in self.agent


class Operations:
    """The stacks and the running work on them, for the API's operations."""

    def __init__(self, context: Context, access: Access) -> None:
        self.context = context
        self.access = access
        self.stacks = Stacks(context)
        access.stack_id = self._id_in_arn
        self._operations: dict[str, Operation] = {}
        self._running: dict[str, threading.Thread] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """Cancels all running work without waiting for it."""
        for operation in list(self._operations.values()):
            operation.cancel()

    def _id_in_arn(self, region: str, name: str) -> str:
        stack = self.stacks.find(region, name)
        return "*" if stack is None else stack.id.rpartition("/")[2]

    def find(self, caller: Caller, name: str) -> Stack:
        """The stack; ApiError if there is none."""
        stack = self.stacks.find(caller.region, name)
        if stack is None:
            raise ApiError(f"Stack with id {name} does not exist")
        return stack

    def find_change_set(self, caller: Caller, request: Answer) -> tuple[Stack, ChangeSet]:
        """The change set and its stack; ApiError if there is none."""
        name = request["ChangeSetName"]
        named = request.get("StackName")
        candidates = [self.find(caller, named)] if named else self.stacks.all(caller.region)
        for stack in candidates:
            for change_set in list(stack.change_sets.values()):
                if name in {change_set.name, change_set.id}:
                    return stack, change_set
        raise ApiError(f"ChangeSet [{name}] does not exist", "ChangeSetNotFound", 404)

    def begin(
        self, caller: Caller, stack: Stack, status: str, work: Callable[[Operation], None]
    ) -> None:
        """Starts `work` on the stack and waits a little for its end.

        Raises:
            ApiError: An operation is already running, or the stack's role cannot be assumed.
        """
        stack.acts_with = self.access.key_of(self._acting(caller, stack))
        with self._lock:
            if stack.in_progress:
                raise ApiError(
                    f"Stack:{stack.id} is in {stack.status} state and can not be updated."
                )
            operation = Operation(self.context, self.stacks, stack)
            stack.operation = str(uuid.uuid4())
            if status == "ROLLBACK":
                operation = self._operations.get(stack.id, operation)
            else:
                stack.enter(status, "User Initiated")
            self._operations[stack.id] = operation
            thread = threading.Thread(
                target=_run, args=(work, operation, stack), name=f"stack-{stack.name}", daemon=True
            )
            self._running[stack.id] = thread
            thread.start()
        thread.join(_PATIENCE_AT_START)

    def _acting(self, caller: Caller, stack: Stack) -> Principal:
        """Who works on the stack: its role, or the caller."""
        if stack.role_arn is None:
            return caller.principal
        try:
            return self.access.assume(
                stack.role_arn, "cloudformation.amazonaws.com", "AWSCloudFormation"
            )
        except AccessDeniedError as error:
            raise ApiError(
                f"Role {stack.role_arn} is invalid or cannot be assumed: {error}"
            ) from error

    def wait(self, stack: Stack) -> None:
        """Waits a while for the running work on the stack."""
        thread = self._running.get(stack.id)
        if thread is not None:
            thread.join(_PATIENCE_WHEN_ASKED)

    def definition(self, caller: Caller, request: Answer, stack: Stack | None) -> Definition:
        """The definition that a request contains.

        Raises:
            ApiError: It cannot be deployed here.
        """
        before = stack.definition if stack is not None else None
        if request.get("UsePreviousTemplate") and before is not None:
            template = before.template
        else:
            template = Template(self.template_text(caller, request))
        unknown = sorted(t for t in template.resource_types if not self._has_provider(t))
        if unknown:
            raise ApiError(
                f"Template format error: Unrecognized resource types: [{', '.join(unknown)}] "
                "(the local AWS does not have them)"
            )
        needed, has = template.required_capability(), set(request.get("Capabilities", []))
        if needed and not has & {needed, "CAPABILITY_NAMED_IAM"}:
            raise ApiError(
                f"Requires capabilities : [{needed}]", "InsufficientCapabilitiesException"
            )
        parameters = {}
        for parameter in request.get("Parameters", []):
            name = parameter["ParameterKey"]
            if not parameter.get("UsePreviousValue"):
                parameters[name] = parameter.get("ParameterValue", "")
            elif before is not None and name in before.parameters:
                parameters[name] = before.parameters[name]
            else:
                raise ApiError(
                    f"Invalid input for parameter key {name}. Cannot specify usePreviousValue as "
                    "true for a parameter key not in the previous template"
                )
        if "Tags" in request or before is None:
            tags = {tag["Key"]: tag["Value"] for tag in request.get("Tags", [])}
        else:
            tags = before.tags
        values = template.fill_in(
            parameters,
            lambda name: self.stacks.ssm_parameter(
                caller.region, name, self.access.key_of(caller.principal)
            ),
        )
        return Definition(template, template.given_or_default(parameters), values, tags)

    def template_text(self, caller: Caller, request: Answer) -> str:
        """The template that a request contains or refers to."""
        if "TemplateBody" in request:
            return str(request["TemplateBody"])
        if "TemplateURL" not in request:
            raise ApiError("Either Template URL or Template Body must be specified.")
        url = urlsplit(request["TemplateURL"])
        bucket, _, rest = (url.hostname or "").partition(".s3")
        path = unquote(url.path).lstrip("/")
        if not rest:
            bucket, _, path = path.partition("/")
        client = self.access.client(caller.principal, "s3", caller.region)
        try:
            found = client.get_object(Bucket=bucket, Key=path)
        except ClientError as error:
            raise ApiError(f"S3 error: {error.response['Error']['Message']}") from error
        return str(found["Body"].read().decode())

    def _has_provider(self, resource_type: str) -> bool:
        try:
            self.stacks.provider(resource_type)
        except KeyError:
            return False
        return True

    def propose(self, caller: Caller, request: Answer) -> tuple[Stack, ChangeSet]:
        """A checked change set, not yet stored."""
        name, kind = request["StackName"], request.get("ChangeSetType", "UPDATE")
        stack = self.stacks.find(caller.region, name)
        fresh = stack is None or stack.status == "REVIEW_IN_PROGRESS"
        if kind == "IMPORT":
            raise ApiError("The local AWS cannot import resources")
        if kind == "CREATE" and not fresh:
            raise ApiError(
                f"Stack [{name}] already exists and cannot be created again with "
                f"the changeSet [{request['ChangeSetName']}]."
            )
        if kind == "UPDATE" and fresh:
            raise ApiError(f"Stack [{name}] does not exist")
        if stack is not None and (
            stack.in_progress
            or stack.status
            in {"ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED", "UPDATE_ROLLBACK_FAILED"}
        ):
            raise ApiError(f"Stack:{stack.id} is in {stack.status} state and can not be updated.")
        definition = self.definition(caller, request, stack)
        if stack is None:
            stack = self._new_stack(caller, name)
        scope = self.stacks.scope(stack, definition, lambda _: UNKNOWN, lambda _, __: UNKNOWN)
        definition.template.check_rules(scope)
        imports = set(stack.imports)
        changes = preview(
            stack,
            definition.template.wanted(scope),
            lambda ref, get_att: self.stacks.scope(stack, definition, ref, get_att),
            definition.tags,
            lambda resource_type: self.stacks.provider(resource_type).tags,
        )
        stack.imports = imports  # a preview imports nothing
        nothing = not changes and not fresh and _same_rest(stack, definition)
        change_set = ChangeSet(
            id=self._arn(caller.region, "changeSet", request["ChangeSetName"]),
            name=request["ChangeSetName"],
            type=kind,
            definition=definition,
            description=request.get("Description"),
            changes=changes,
            status="FAILED" if nothing else "CREATE_COMPLETE",
            execution_status="UNAVAILABLE" if nothing else "AVAILABLE",
            reason=_NO_CHANGES if nothing else None,
            created=datetime.now(UTC),
        )
        return stack, change_set

    def _new_stack(self, caller: Caller, name: str) -> Stack:
        return Stack(
            id=self._arn(caller.region, "stack", name),
            name=name,
            region=caller.region,
            created=datetime.now(UTC),
            status="REVIEW_IN_PROGRESS",
        )

    def _arn(self, region: str, kind: str, name: str) -> str:
        account = self.context.account_id
        return f"arn:aws:cloudformation:{region}:{account}:{kind}/{name}/{uuid.uuid4()}"

    def execute(self, caller: Caller, stack: Stack, change_set: ChangeSet) -> None:
        """Applies the change set."""
        creating = stack.status == "REVIEW_IN_PROGRESS"
        idle = {
            resource_type
            for resource_type, properties in change_set.definition.template.properties_by_type()
            if self.stacks.provider(resource_type).is_idle(properties)
        }
        if idle:
            logger.info("%s: without effect here: %s", stack.name, ", ".join(sorted(idle)))
        stack.rollback = change_set.rollback
        if creating:
            # Even a stack whose creation fails has the definition that was requested.
            stack.definition = change_set.definition
        else:
            stack.updated = stack.now()
        stack.change_sets.clear()
        self.begin(
            caller,
            stack,
            "CREATE_IN_PROGRESS" if creating else "UPDATE_IN_PROGRESS",
            lambda operation: operation.deploy(change_set.definition),
        )


def _run(work: Callable[[Operation], None], operation: Operation, stack: Stack) -> None:
    try:
        work(operation)
    except Exception as error:
        # A stack that stayed in progress would accept no further operation.
        logger.exception("The work on %s failed unexpectedly", stack.name)
        verb = stack.status.removesuffix("_CLEANUP_IN_PROGRESS").removesuffix("_IN_PROGRESS")
        stack.enter(f"{verb.removesuffix('_COMPLETE')}_FAILED", f"{type(error).__name__}: {error}")


def _same_rest(stack: Stack, definition: Definition) -> bool:
    """Whether everything but the resources' properties is unchanged."""
    before = stack.definition
    if before is None:
        return False
    old, new = before.template.body, definition.template.body
    metadata = [
        {name: body.get("Metadata") for name, body in template.get("Resources", {}).items()}
        for template in (old, new)
    ]
    return (
        old.get("Outputs") == new.get("Outputs")
        and old.get("Description") == new.get("Description")
        and metadata[0] == metadata[1]
        and before.tags == definition.tags
        and before.values == definition.values
    )
