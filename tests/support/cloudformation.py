"""CloudFormation with providers that only record their calls."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from local_aws.cloudformation.handlers import OPERATIONS
from local_aws.cloudformation.operations import Caller, Operations
from local_aws.cloudformation.resources.base import (
    Provider,
    ResourceError,
    Result,
)
from local_aws.context import Context
from local_aws.iam.access import Access
from local_aws.iam.principals import administrator, make_administrator_key

_SECTIONS = {"Conditions", "Outputs", "Parameters"}
CALLER = Caller("eu-west-1", "test", administrator("123456789012"))


class FakeProvider(Provider):
    """Records its calls; fails those in `failing`, e.g. ("create", "Queue").

    A failed creation leaves nothing behind unless `leaves_remains`.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, str]] = []
        self.failing: set[tuple[str, str]] = set()
        self.meanwhile: Callable[[str, Any], None] = lambda verb, request: None
        self.leaves_remains = False
        self._made = 0
        self._lock = threading.Lock()

    def create(self, request):
        with self._lock:
            self._made += 1
            physical_id = f"{request.logical_id}-{self._made}"
        self._call("create", request, physical_id)
        return Result(physical_id, {"Value": request.properties.get("Value")})

    def update(self, request):
        self._call("update", request, request.physical_id)
        return Result(request.physical_id, {"Value": request.properties.get("Value")})

    def delete(self, request):
        self._call("delete", request, request.physical_id)

    def _call(self, verb, request, physical_id):
        self.calls.append((verb, request.logical_id, physical_id))
        self.meanwhile(verb, request)
        if (verb, request.logical_id) in self.failing:
            made = physical_id if verb == "create" and self.leaves_remains else None
            raise ResourceError(f"{verb} of {request.logical_id} was made to fail", made)

    def order(self, verb: str) -> list[str]:
        return [name for called, name, _ in self.calls if called == verb]

    def forget(self) -> None:
        self.calls.clear()
        self.failing.clear()


class Deployer:
    """Calls the API of CloudFormation without HTTP."""

    def __init__(self, folder: Path) -> None:
        context = Context("http://127.0.0.1:9", CALLER.region, folder)
        key = make_administrator_key(context.account_id, folder)
        self.operations = Operations(context, Access(context, key))

    def call(self, operation: str, **request: Any) -> dict[str, Any]:
        return OPERATIONS[operation](self.operations, CALLER, request)

    def deploy(self, resources: dict[str, Any], *, name: str = "app", **more: Any) -> str:
        """Creates or updates a stack and returns its final status."""
        template = {key: more.pop(key) for key in list(more) if key in _SECTIONS}
        request = {
            "StackName": name,
            "TemplateBody": json.dumps({"Resources": resources, **template}),
            **more,
        }
        exists = self.operations.stacks.find(CALLER.region, name) is not None
        self.call("UpdateStack" if exists else "CreateStack", **request)
        return self.wait(name)

    def wait(self, name: str = "app") -> str:
        stack = self.operations.find(CALLER, name)
        self.operations.wait(stack)
        return stack.status

    def delete(self, name: str = "app") -> str:
        stack = self.operations.find(CALLER, name)
        self.call("DeleteStack", StackName=name)
        self.operations.wait(stack)
        return stack.status

    def statuses(self, name: str = "app") -> list[str]:
        """The stack's own statuses, oldest first."""
        stack = self.operations.find(CALLER, name)
        return [event.status for event in stack.events if event.physical_id == stack.id]

    def physical_id(self, logical_id: str, name: str = "app") -> str:
        return self.operations.find(CALLER, name).resources[logical_id].physical_id

    def resources(self, name: str = "app") -> list[str]:
        return sorted(self.operations.find(CALLER, name).resources)

    def reason(self, logical_id: str, name: str = "app") -> str:
        stack = self.operations.find(CALLER, name)
        failed = [e for e in stack.events if e.logical_id == logical_id and "FAILED" in e.status]
        return failed[-1].reason or ""


def thing(value: Any = "a", *, kind: str = "Fake::Service::Thing", **attributes: Any) -> Any:
    """A resource of a template."""
    return {"Type": kind, "Properties": {"Value": value}, **attributes}


def named(name: Any, **properties: Any) -> Any:
    """A resource whose name is create-only in CloudFormation's schema."""
    values = {"Name": name, "Type": "String", "Value": "a", **properties}
    return {"Type": "AWS::SSM::Parameter", "Properties": values}
