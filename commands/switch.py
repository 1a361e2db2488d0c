"""Switches a stage's endpoints on and off: off, nothing is paid by the hour, and nothing is lost.

    python -m commands.switch off --stage dev       takes the endpoints away; models and bakes stay
    python -m commands.switch on --stage dev        makes them again, and tests them, in minutes
    python -m commands.switch status --stage dev

CloudFormation does it, by the parameter `Serving` of the Model stack; a deployment keeps its value.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from commands.cdk_cli import console
from commands.local_state import LocalError
from commands.stack_update import DeployedStack, StackError, Step
from commands.target import Target, add_options, choose
from stage.settings import Settings, SettingsError

# As stacks/model/switch.py has them, which a command must not wait for: it starts the CDK.
PARAMETER = "Serving"
ON, OFF = "on", "off"

_INTERRUPTED = 130


def main() -> int:
    """Runs one command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="commands.switch", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("command", choices=[ON, OFF, "status"])
    add_options(parser)
    options = parser.parse_args()
    try:
        target, choice = choose(options)
        settings = choice.settings
        stack = DeployedStack(target.client("cloudformation"), settings.names.stack("Model"))
        if options.command == "status":
            return _tell(stack, settings, target)
        return _switch(stack, settings.stage, options.command)
    except KeyboardInterrupt:
        console.print(
            "No longer watched; what CloudFormation has begun goes on. How far it is:"
            " python -m commands.switch status",
            soft_wrap=True,
        )
        return _INTERRUPTED
    except (SettingsError, LocalError, StackError) as fault:
        console.print(str(fault), style="red", markup=False, soft_wrap=True)
    except (ClientError, BotoCoreError) as fault:
        # Credentials, permissions or the network: AWS's own words say which.
        console.print(f"AWS could not be asked: {fault}", style="red", markup=False, soft_wrap=True)
    return 1


def _switch(stack: DeployedStack, stage: str, serving: str) -> int:
    if _serving(stack) == serving:
        console.print(f"{stage} is {serving} already.")
        return 0
    with console.status(f"Switching {stage} {serving} …"):
        for step in stack.update({PARAMETER: serving}):
            _show(step)
    after = "the endpoints answer" if serving == ON else "no endpoint is paid for"
    console.print(f"{stage} is {serving}: {after}.", style="green")
    return 0


def _serving(stack: DeployedStack) -> str | None:
    """What the switch is at; None for a stack that has none."""
    parameters = stack.describe().get("Parameters", [])
    found = {each["ParameterKey"]: each["ParameterValue"] for each in parameters}
    return found.get(PARAMETER)


def _show(step: Step) -> None:
    failed = step.status.endswith("FAILED")
    reason = f"  {step.reason}" if failed and step.reason else ""
    line = f"  {step.status:<{len('UPDATE_IN_PROGRESS')}}  {step.type}  {step.resource}{reason}"
    console.print(line, style="red" if failed else "dim", markup=False, soft_wrap=True)


def _tell(stack: DeployedStack, settings: Settings, target: Target) -> int:
    serving, status = _serving(stack), stack.describe()["StackStatus"]
    if serving is None:
        raise StackError(
            f"{settings.stage} was deployed by an older version of this app, which has no switch:"
            " its endpoints are on. Deploy again."
        )
    console.print(f"{settings.stage} is {serving} (stack: {status}).")
    client = target.client("sagemaker")
    for endpoint in settings.endpoints:
        name = settings.names.endpoint(endpoint.instance_type)
        console.print(f"  {name}: {_endpoint(client, name)}")
    return 0


def _endpoint(client: Any, name: str) -> str:
    try:
        found = client.describe_endpoint(EndpointName=name)
    except ClientError as error:
        if "Could not find" not in str(error):
            raise
        return "none"
    return str(found["EndpointStatus"])


if __name__ == "__main__":
    sys.exit(main())
