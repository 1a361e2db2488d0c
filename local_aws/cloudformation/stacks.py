"""All stacks, and the exports and imports between them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from botocore.exceptions import ClientError

from local_aws.cloudformation.changes import is_custom
from local_aws.cloudformation.custom_resource import CustomResources
from local_aws.cloudformation.functions import Scope, Value
from local_aws.cloudformation.model import Definition, Output, Stack
from local_aws.cloudformation.resources.base import (
    Provider,
    ResourceError,
)
from local_aws.cloudformation.resources.registry import PROVIDERS
from local_aws.context import Context
from local_aws.iam.principals import AccessKey
from local_aws.service_errors import ApiError


class Stacks:
    """The stacks of every region of the account."""

    def __init__(self, context: Context) -> None:
        self.custom_resources = CustomResources()
        self._context = context
        self._stacks: dict[str, Stack] = {}
        self._lock = threading.Lock()

    def add(self, stack: Stack) -> None:
        """Adds a new stack."""
        with self._lock:
            self._stacks[stack.id] = stack

    def all(self, region: str) -> list[Stack]:
        """The stacks of a region, oldest first, including deleted ones."""
        with self._lock:
            return [stack for stack in self._stacks.values() if stack.region == region]

    def find(self, region: str, name: str) -> Stack | None:
        """The stack with this id, or the one with this name that is not deleted."""
        for stack in self.all(region):
            if stack.id == name or (stack.name == name and stack.status != "DELETE_COMPLETE"):
                return stack
        return None

    def exports(self, region: str) -> Iterator[tuple[str, Output, Stack]]:
        """All exports with their outputs and stacks."""
        for stack in self.all(region):
            for output in stack.outputs.values():
                if output.export is not None:
                    yield output.export, output, stack

    def importers(self, region: str, export: str) -> list[str]:
        """The names of the stacks that import `export`."""
        return [stack.name for stack in self.all(region) if export in stack.imports]

    def provider(self, resource_type: str) -> Provider:
        """The provider of a type; KeyError if there is none."""
        return self.custom_resources if is_custom(resource_type) else PROVIDERS[resource_type]

    def scope(
        self,
        stack: Stack,
        definition: Definition,
        ref: Callable[[str], Value],
        get_att: Callable[[str, str], Value],
    ) -> Scope:
        """What the names in a template of `stack` stand for; records the imports it resolves."""
        return Scope(
            values={**self.pseudo_parameters(stack), **definition.values},
            conditions=definition.template.conditions,
            ref=ref,
            get_att=get_att,
            import_value=lambda name: self._import(stack, name),
            dynamic=lambda service, rest: self._dynamic(stack, service, rest),
        )

    def pseudo_parameters(self, stack: Stack) -> dict[str, Value]:
        """AWS::Region and the like."""
        return {
            "AWS::AccountId": self._context.account_id,
            "AWS::NotificationARNs": [],
            "AWS::Partition": "aws",
            "AWS::Region": stack.region,
            "AWS::StackId": stack.id,
            "AWS::StackName": stack.name,
            "AWS::URLSuffix": "amazonaws.com",
        }

    def _import(self, stack: Stack, name: str) -> str:
        for export, output, owner in self.exports(stack.region):
            if export == name and owner is not stack:
                stack.imports.add(name)
                return output.value
        raise ApiError(f"No export named {name} found.")

    def _dynamic(self, stack: Stack, service: str, rest: str) -> str:
        if service != "ssm":
            raise ApiError(f"Dynamic references to {service} are not supported here")
        try:
            name = rest.split(":", maxsplit=1)[0]
            return self.ssm_parameter(stack.region, name, stack.acts_with)
        except KeyError:
            raise ApiError(f"Parameters: [{rest}] cannot be found.") from None

    def ssm_parameter(self, region: str, name: str, key: AccessKey | None) -> str:
        """The value of an SSM parameter; KeyError if there is none.

        Raises:
            ApiError: The owner of the key may not read it.
        """
        try:
            answer = self._context.client("ssm", region, key).get_parameters(Names=[name])
        except ClientError as error:
            raise ApiError(error.response["Error"]["Message"]) from error
        for parameter in answer["Parameters"]:
            return str(parameter["Value"])
        raise KeyError(name)

    def check_exports(self, stack: Stack, outputs: dict[str, Output]) -> None:
        """Raises ResourceError if `outputs` remove or change what other stacks import."""
        new = {output.export: output.value for output in outputs.values() if output.export}
        for export, output, owner in self.exports(stack.region):
            if owner is not stack:
                if export in new:
                    raise ResourceError(
                        f"Export with name {export} is already exported by stack {owner.name}"
                    )
                continue
            users = self.importers(stack.region, export)
            if not users or new.get(export) == output.value:
                continue
            verb = "update" if export in new else "delete"
            raise ResourceError(
                f"Cannot {verb} export {export} as it is in use by {', '.join(users)}."
            )
