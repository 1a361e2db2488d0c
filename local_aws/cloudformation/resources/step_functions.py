"""Step Functions: state machines, whose ids are their ARNs."""

from __future__ import annotations

import json

from local_aws.cloudformation.resources.base import (
    Provider,
    Request,
    Result,
    ignore_missing,
    text,
)


class StateMachine(Provider):
    tags = "list"

    def create(self, request: Request) -> Result:
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

    def update(self, request: Request) -> None:
        request.client("stepfunctions").update_state_machine(
            stateMachineArn=request.physical_id,
            definition=_definition(request),
            roleArn=request.properties["RoleArn"],
        )

    def delete(self, request: Request) -> None:
        client = request.client("stepfunctions")
        ignore_missing(client.delete_state_machine, stateMachineArn=request.physical_id)


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
