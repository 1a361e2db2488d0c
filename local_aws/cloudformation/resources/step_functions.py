"""AWS::StepFunctions::StateMachine."""

from __future__ import annotations

import json
from typing import ClassVar

from local_aws.cloudformation.resources.base import (
    Properties,
    Request,
    Result,
    ignore_missing,
    text,
)


class StateMachine:
    """A state machine; its id is its ARN."""

    tags: ClassVar[str] = "list"

    def create(self, request: Request) -> Result:
        """Makes the state machine."""
        properties = request.properties
        name = properties.get("StateMachineName") or request.name(80)
        made = request.client("stepfunctions").create_state_machine(
            name=name,
            definition=_definition(request),
            roleArn=properties["RoleArn"],
            type=properties.get("StateMachineType", "STANDARD"),
            tags=[
                {"key": tag["Key"], "value": text(tag["Value"])}
                for tag in properties.get("Tags", [])
            ],
        )
        return Result(made["stateMachineArn"], {"Arn": made["stateMachineArn"], "Name": name})

    def update(self, request: Request, physical_id: str, old: Properties) -> Result:
        """Changes definition and role."""
        del old
        request.client("stepfunctions").update_state_machine(
            stateMachineArn=physical_id,
            definition=_definition(request),
            roleArn=request.properties["RoleArn"],
        )
        name = physical_id.rpartition(":")[2]
        return Result(physical_id, {"Arn": physical_id, "Name": name})

    def delete(self, request: Request, physical_id: str) -> None:
        """Removes the state machine."""
        ignore_missing(
            request.client("stepfunctions").delete_state_machine, stateMachineArn=physical_id
        )


def _definition(request: Request) -> str:
    properties = request.properties
    if "DefinitionS3Location" in properties:
        place = properties["DefinitionS3Location"]
        found = request.client("s3").get_object(Bucket=place["Bucket"], Key=place["Key"])
        definition = str(found["Body"].read().decode())
    elif "DefinitionString" in properties:
        definition = str(properties["DefinitionString"])
    else:
        definition = json.dumps(properties["Definition"])
    for name, value in properties.get("DefinitionSubstitutions", {}).items():
        definition = definition.replace("${" + name + "}", text(value))
    return definition
