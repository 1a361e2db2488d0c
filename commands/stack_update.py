"""An update of a stack that only changes parameters, and its progress."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from botocore.exceptions import ClientError

# What an update may begin from.
_SETTLED = {
    "CREATE_COMPLETE",
    "UPDATE_COMPLETE",
    "UPDATE_ROLLBACK_COMPLETE",
    "IMPORT_COMPLETE",
    "IMPORT_ROLLBACK_COMPLETE",
}
_REMEDIES = {
    "UPDATE_ROLLBACK_FAILED": "Have it finish going back: aws cloudformation"
    " continue-update-rollback --stack-name {name} (docs/operations.md).",
    "DELETE_FAILED": "Delete it again, or deploy anew.",
}
_REMEDY = "It was never deployed whole: delete it (cdk destroy), and deploy again."
_CANCELLED = "cancelled"
_STACK = "AWS::CloudFormation::Stack"


class StackError(Exception):
    """The stack cannot be updated, or its update failed; the message says what to do."""


@dataclass(frozen=True)
class Step:
    """One event of an update: what became of a resource, or of the stack."""

    resource: str
    type: str
    status: str
    reason: str


class DeployedStack:
    """A stack that is deployed.

    client: for CloudFormation. name: the stack's.
    """

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self._name = name

    def describe(self) -> Mapping[str, Any]:
        """The stack. Raises StackError where there is none."""
        stack: Mapping[str, Any]
        try:
            (stack,) = self._client.describe_stacks(StackName=self._name)["Stacks"]
        except ClientError as error:
            if "does not exist" not in str(error):
                raise
            stack = {"StackStatus": "REVIEW_IN_PROGRESS"}  # as good as none
        if stack["StackStatus"] == "REVIEW_IN_PROGRESS":
            raise StackError(
                f"There is no stack {self._name} in {self._client.meta.region_name}: deploy first."
            )
        return stack

    def update(self, parameters: Mapping[str, str]) -> Iterator[Step]:
        """Give parameters other values, keep all else, and tell what happens until it is over.

        The update begins when the first step is asked for, and goes on if nobody asks for more.
        The stack keeps its template, tags and CloudFormation role.

        Raises:
            StackError: it cannot be updated now, or the update was taken back.
        """
        stack = self.describe()
        self._refuse_unless_settled(stack["StackStatus"])
        latest = self._latest_event()
        self._begin(stack, parameters)
        failures = []
        status = ""
        # By its events, since its description may be a moment behind.
        while not status:
            time.sleep(self._interval)
            for event in self._events_after(latest):
                latest = event["EventId"]
                step = _step(event)
                if step.status.endswith("FAILED") and _CANCELLED not in step.reason.lower():
                    failures.append(step)
                if step.type == _STACK and not step.status.endswith("IN_PROGRESS"):
                    status = step.status
                yield step
        if status != "UPDATE_COMPLETE":
            raise StackError(_failure(self._name, status, failures))

    @property
    def _interval(self) -> float:
        """Seconds between two looks: the local AWS is faster, and nobody else asks it."""
        return 0.5 if "127.0.0.1" in self._client.meta.endpoint_url else 5.0

    def _refuse_unless_settled(self, status: str) -> None:
        if status in _SETTLED:
            return
        if status.endswith("IN_PROGRESS"):
            raise StackError(
                f"{self._name} is at work ({status}). Try again when it has come to its end."
            )
        remedy = _REMEDIES.get(status, _REMEDY).format(name=self._name)
        raise StackError(f"{self._name} is in no state to be updated ({status}). {remedy}")

    def _begin(self, stack: Mapping[str, Any], parameters: Mapping[str, str]) -> None:
        names = [each["ParameterKey"] for each in stack.get("Parameters", [])]
        if missing := parameters.keys() - set(names):
            raise StackError(
                f"{self._name} has no parameter {', '.join(sorted(missing))}: it was deployed by an"
                " older version of this app. Deploy again."
            )
        try:
            self._client.update_stack(
                StackName=self._name,
                UsePreviousTemplate=True,
                Parameters=[
                    {"ParameterKey": name, "ParameterValue": parameters[name]}
                    if name in parameters
                    else {"ParameterKey": name, "UsePreviousValue": True}
                    for name in names
                ],
                Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM"],
                # A repeated request is the same update.
                ClientRequestToken=f"switch-{uuid4()}",
            )
        except ClientError as error:
            if "IN_PROGRESS" in str(error):  # somebody was faster
                self._refuse_unless_settled(self.describe()["StackStatus"])
            raise

    def _latest_event(self) -> str | None:
        events = self._client.describe_stack_events(StackName=self._name)["StackEvents"]
        return events[0]["EventId"] if events else None

    def _events_after(self, latest: str | None) -> list[Mapping[str, Any]]:
        """Events since `latest`, oldest first."""
        found: list[Mapping[str, Any]] = []
        for page in self._client.get_paginator("describe_stack_events").paginate(
            StackName=self._name
        ):
            for event in page["StackEvents"]:
                if event["EventId"] == latest:
                    return found[::-1]
                found.append(event)
        return found[::-1]


def _step(event: Mapping[str, Any]) -> Step:
    return Step(
        event.get("LogicalResourceId", ""),
        event.get("ResourceType", ""),
        event.get("ResourceStatus", ""),
        event.get("ResourceStatusReason", ""),
    )


def _failure(name: str, status: str, failures: list[Step]) -> str:
    first = f" {failures[0].resource}: {failures[0].reason}" if failures else ""
    if status == "UPDATE_ROLLBACK_COMPLETE":
        return f"The update failed, and {name} is as it was before.{first}"
    remedy = _REMEDIES.get(status, "").format(name=name)
    return f"The update failed and left {name} {status}.{first} {remedy}".strip()
