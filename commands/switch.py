"""Switches a stage's endpoints off and on again, or shows them (`make off`, `on`, `status`).

Off, nothing is paid for endpoints by the hour, and nothing is lost: models and bakes stay. On, they
are made again and tested, in minutes. CloudFormation does it, by a parameter of the Model stack; a
deployment keeps its value.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from botocore.exceptions import ClientError

from commands.console import confirm, console, say
from commands.errors import CommandError
from commands.stack_states import remedy
from commands.target import Target, add_target_arguments, choose
from contract.switch import OFF, ON, PARAMETER

if TYPE_CHECKING:
    from types_boto3_sagemaker import SageMakerClient

    from stage.settings import Settings

_CANCELLED = "cancelled"
_NO_ENDPOINT = "none"
# A quarter of an hour for endpoints that outlive their stack.
_LOOKS, _SECONDS_BETWEEN_LOOKS = 60, 15.0
_STACK = "AWS::CloudFormation::Stack"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which stage, and whether to ask."""
    add_target_arguments(parser)
    parser.add_argument("--yes", action="store_true", help="switch off without asking")


def run(options: argparse.Namespace) -> int:
    """Runs `on`, `off` or `status`; returns its exit status."""
    target, choice = choose(options)
    if options.command == "status":
        _show_status(target, choice.settings)
    else:
        ask = target.local is None and not options.yes
        switch_to(options.command, target, choice.settings, ask=ask)
    return 0


def switch_to(serving: str, target: Target, settings: Settings, *, ask: bool = False) -> None:
    """Switches a stage on or off, and returns once its endpoints answer or are gone.

    ask: before it is switched off. Raises CommandError if it cannot be switched.
    """
    stack = DeployedStack(target, settings.names.stack("Model"))
    if _serving(stack, settings.stage) == serving:
        console.print(f"{settings.stage} is already {serving}.")
    else:
        if ask and serving == OFF:
            _ask_before_off(settings)
        _switch(stack, settings.stage, serving)
    if serving == OFF:
        _delete_leftovers(target.client("sagemaker"), _endpoint_names(settings))
        console.print("No endpoint is left to pay for.", style="green")


def _endpoint_names(settings: Settings) -> list[str]:
    return [settings.names.endpoint(endpoint.instance_type) for endpoint in settings.endpoints]


def _delete_leftovers(client: SageMakerClient, names: Sequence[str]) -> None:
    """Returns once none of these endpoints exists.

    CloudFormation deletes what an update drops at its very end, and reports success even where
    SageMaker refused, as it does while an endpoint changes. Raises CommandError if one still exists
    after some minutes.
    """
    left: dict[str, str] = {}
    for _ in range(_LOOKS):
        left = {n: s for n in names if (s := _endpoint_status(client, n)) != _NO_ENDPOINT}
        if not left:
            return
        for name, status in left.items():
            if status != "Deleting":
                say(f"  {name} is still there ({status}); deleting it", style="dim")
                try:
                    client.delete_endpoint(EndpointName=name)
                except ClientError as error:
                    if error.response["Error"]["Code"] != "ValidationException":
                        raise
                    # Refused while it changes.
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    name, status = next(iter(left.items()))
    raise CommandError(
        f"{', '.join(left)}: still there ({status}), and paid for. Delete it: aws sagemaker"
        f" delete-endpoint --endpoint-name {name}"
    )


def _ask_before_off(settings: Settings) -> None:
    endpoints = "\n".join(
        f"  {settings.names.endpoint(e.instance_type)}, {e.least_instances} x {e.instance_type}"
        for e in settings.endpoints
    )
    confirm(
        f"This removes the endpoints of {settings.stage} in {settings.region}:\n{endpoints}\n"
        "Until `make on`, its API answers no search (503 serving_off). Switch it off?",
        unasked=f"To switch it off without asking: make off STAGE={settings.stage} YES=1",
    )


def _switch(stack: DeployedStack, stage: str, serving: str) -> None:
    try:
        with console.status(f"Switching {stage} {serving} …"):
            for step in stack.update({PARAMETER: serving}):
                _show(step)
    except KeyboardInterrupt:
        print(
            "Stopped watching; CloudFormation continues. See how far it is: make status"
            f" STAGE={stage}",
            file=sys.stderr,
        )
        raise
    after = ": the endpoints answer" if serving == ON else ""
    console.print(f"{stage} is {serving}{after}.", style="green")


def _serving(stack: DeployedStack, stage: str) -> str:
    """Whether the switch is on or off."""
    for each in stack.describe().get("Parameters", []):
        if each["ParameterKey"] == PARAMETER:
            return str(each["ParameterValue"])
    raise CommandError(
        f"{stage} was deployed by an older version of this app, which has no switch: its endpoints"
        " are on. Deploy again."
    )


def _show(step: Step) -> None:
    failed = step.status.endswith("FAILED")
    reason = f"  {step.reason}" if failed and step.reason else ""
    line = f"  {step.status:<{len('UPDATE_IN_PROGRESS')}}  {step.type}  {step.resource}{reason}"
    say(line, style="red" if failed else "dim")


def _show_status(target: Target, settings: Settings) -> None:
    stack = DeployedStack(target, settings.names.stack("Model"))
    serving, status = _serving(stack, settings.stage), stack.describe()["StackStatus"]
    console.print(f"{settings.stage} is {serving} (stack: {status}).")
    client = target.client("sagemaker")
    for name in _endpoint_names(settings):
        console.print(f"  {name}: {_endpoint_status(client, name)}")
    if settings.search.has_vector_index:
        from commands import index_load

        index_load.show(target, settings)


def _endpoint_status(client: SageMakerClient, name: str) -> str:
    try:
        found = client.describe_endpoint(EndpointName=name)
    except ClientError as error:
        if "Could not find" not in str(error):
            raise
        return _NO_ENDPOINT
    return str(found["EndpointStatus"])


@dataclass(frozen=True)
class Step:
    """One event of an update: what became of a resource, or of the stack."""

    resource: str
    type: str
    status: str
    reason: str

    @classmethod
    def of(cls, event: Mapping[str, Any]) -> Step:
        """An event as CloudFormation describes it."""
        keys = ("LogicalResourceId", "ResourceType", "ResourceStatus", "ResourceStatusReason")
        return cls(*(event.get(key, "") for key in keys))


class DeployedStack:
    """A stack that is deployed."""

    def __init__(self, target: Target, name: str) -> None:
        self._target = target
        self._client = target.client("cloudformation")
        self._name = name

    def describe(self) -> Mapping[str, Any]:
        """The stack. Raises CommandError where there is none."""
        if stack := self._target.find_stack(self._name):
            return stack
        raise CommandError(
            f"There is no stack {self._name} in {self._target.region}: deploy first."
        )

    def update(self, parameters: Mapping[str, str]) -> Iterator[Step]:
        """Changes parameters and nothing else, and yields what happens until it is over.

        The update starts with the first step, and continues if the caller stops iterating.

        Raises:
            CommandError: it cannot be updated now, or the update was rolled back.
        """
        stack = self.describe()
        self._refuse_unless_settled(stack)
        latest = self._latest_event()
        self._begin(stack, parameters)
        failures = []
        status = ""
        # By its events, since its description may be a moment behind.
        while not status:
            time.sleep(self._interval)
            for event in self._events_after(latest):
                latest = event["EventId"]
                step = Step.of(event)
                if step.status.endswith("FAILED") and _CANCELLED not in step.reason.lower():
                    failures.append(step)
                if step.type == _STACK and not step.status.endswith("IN_PROGRESS"):
                    status = step.status
                yield step
        if status != "UPDATE_COMPLETE":
            raise CommandError(_failure(self.describe(), status, failures))

    @property
    def _interval(self) -> float:
        """Seconds between two looks: the local AWS is faster, and nobody else asks it."""
        return 0.5 if self._target.local else 5.0

    @staticmethod
    def _refuse_unless_settled(stack: Mapping[str, Any]) -> None:
        if needed := remedy(stack):
            name, status = stack["StackName"], stack["StackStatus"]
            raise CommandError(f"{name} cannot be updated now ({status}). {needed}")

    def _begin(self, stack: Mapping[str, Any], parameters: Mapping[str, str]) -> None:
        names = [each["ParameterKey"] for each in stack.get("Parameters", [])]
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
            if "IN_PROGRESS" in str(error):  # somebody else was faster
                self._refuse_unless_settled(self.describe())
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


def _failure(stack: Mapping[str, Any], status: str, failures: list[Step]) -> str:
    name = stack["StackName"]
    first = f" {failures[0].resource}: {failures[0].reason}" if failures else ""
    if status == "UPDATE_ROLLBACK_COMPLETE":
        return f"The update failed, and {name} is as it was before.{first}"
    # Its description may be a moment behind its events.
    needed = remedy({**stack, "StackStatus": status})
    return f"The update failed and left {name} {status}.{first} {needed}".strip()
