"""Resources that a deployment must not remove or replace, as lines of a committed list.

A resource is in the list if it holds data, or if callers, people or other stacks know it by an id
or a name that a replacement would lose.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from local_aws.cloudformation.schemas import create_only_properties

STATEFUL = {
    "AWS::ApiGateway::ApiKey",
    "AWS::ApiGateway::RestApi",
    "AWS::ApiGateway::Stage",
    "AWS::ApiGateway::UsagePlan",
    "AWS::ApiGateway::UsagePlanKey",
    "AWS::KMS::Key",
    "AWS::Logs::LogGroup",
    "AWS::S3::Bucket",
    "AWS::SNS::Subscription",
    "AWS::SNS::Topic",
    "AWS::SSM::Parameter",
}
# Only if the template names them: the new one could not be created beside the old one.
NAMED = {
    "AWS::CloudWatch::Dashboard": "DashboardName",
    "AWS::IAM::Role": "RoleName",
    "AWS::Lambda::Function": "FunctionName",
    "AWS::SageMaker::Endpoint": "EndpointName",
    "AWS::StepFunctions::StateMachine": "StateMachineName",
}


def stateful_resources(stack_name: str, template: dict[str, Any]) -> list[str]:
    """One line for each: stack, logical id, type, and the properties whose change replaces it."""
    return sorted(
        f"{stack_name}  {logical_id}  {resource['Type']}  {json.dumps(_create_only(resource))}"
        for logical_id, resource in template["Resources"].items()
        if resource["Type"] in STATEFUL
        or NAMED.get(resource["Type"]) in resource.get("Properties", {})
    )


def _create_only(resource: dict[str, Any]) -> dict[str, Any]:
    names = {path[0] for path in create_only_properties(resource["Type"])}
    values = resource.get("Properties", {})
    return {name: values[name] for name in sorted(names & set(values))}


def add_new(file: Path, found: Iterable[str]) -> None:
    """Adds what the list lacks. Never removes a line; that is done by hand."""
    file.write_text("\n".join(sorted({*_read(file), *found})) + "\n", encoding="utf-8")


def problems(file: Path, found: Iterable[str]) -> list[str]:
    """A sentence for each resource that would be removed or replaced, or is not in the list."""
    listed, now = _read(file), list(found)
    at = {_place(line): line for line in now}
    return [
        *(
            f"would be replaced by a deployment: {line} -> {at[_place(line)]}"
            if _place(line) in at
            else f"would be removed by a deployment: {line}"
            for line in listed
            if line not in now
        ),
        *(f"is not in {file.name}: {line}" for line in now if line not in listed),
    ]


def _read(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines() if file.is_file() else []


def _place(line: str) -> tuple[str, ...]:
    return tuple(line.split("  ")[:2])
