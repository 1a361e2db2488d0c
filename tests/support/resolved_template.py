"""Templates with their intrinsic functions resolved, so that values look as AWS gets them."""

from __future__ import annotations

import re
from typing import Any

from tests.support.synthesis import Templates

ACCOUNT = "123456789012"
REGION = "us-east-1"
PSEUDO = {
    "AWS::AccountId": ACCOUNT,
    "AWS::Partition": "aws",
    "AWS::Region": REGION,
    "AWS::StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/Stack/1",
    "AWS::StackName": "Stack",
    "AWS::URLSuffix": "amazonaws.com",
}
ARNS = {
    "AWS::IAM::Role": f"arn:aws:iam::{ACCOUNT}:role/{{}}",
    "AWS::KMS::Key": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{{}}",
    "AWS::Lambda::Function": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:{{}}",
    "AWS::Logs::LogGroup": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{{}}:*",
    "AWS::S3::Bucket": "arn:aws:s3:::{}",
    "AWS::SageMaker::Endpoint": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint/{{}}",
    "AWS::SageMaker::EndpointConfig": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:endpoint-config/{{}}",
    "AWS::SageMaker::Model": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model/{{}}",
    "AWS::StepFunctions::StateMachine": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{{}}",
}
# Of these, Ref is the ARN and not the name.
REF_IS_ARN = {
    "AWS::SageMaker::Endpoint",
    "AWS::SageMaker::EndpointConfig",
    "AWS::SageMaker::Model",
    "AWS::StepFunctions::StateMachine",
}
MODEL_DATA = "s3://artifacts/bakes/0/job/output/model.tar.gz"


class Resolver:
    """Resolves values of one stage's stacks.

    Args:
        templates: the stage's, by the last part of the stack's name.
    """

    def __init__(self, templates: Templates) -> None:
        self._exports = {
            output["Export"]["Name"]: (template, output["Value"])
            for template in templates.values()
            for output in template.get("Outputs", {}).values()
            if "Export" in output
        }

    def resources(self, template: dict[str, Any], resource_type: str) -> list[dict[str, Any]]:
        """The properties of each resource of a type, resolved."""
        return [
            self.resolve(resource["Properties"], template)
            for resource in template["Resources"].values()
            if resource["Type"] == resource_type
        ]

    def resolve(self, value: Any, template: dict[str, Any]) -> Any:
        """Resolves one value of a template."""
        if isinstance(value, list):
            return [self.resolve(item, template) for item in value]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            [(name, argument)] = value.items()
            if name == "Ref":
                return self._reference(argument, template)
            if name == "Fn::GetAtt":
                return _attribute(argument[0], argument[1], template)
            if name == "Fn::ImportValue":
                return self._import(argument)
            if name == "Fn::Join":
                return argument[0].join(map(str, self.resolve(argument[1], template)))
            if name == "Fn::Sub":
                return re.sub(
                    r"\$\{([\w:]+)\}", lambda m: self._reference(m[1], template), argument
                )
            if name == "Fn::If":
                return self.resolve(argument[1], template)  # conditions hold by default
            assert not name.startswith("Fn::"), f"{name} is not known here"
        return {key: self.resolve(inner, template) for key, inner in value.items()}

    def _import(self, name: str) -> Any:
        template, value = self._exports[name]
        return self.resolve(value, template)

    def _reference(self, name: str, template: dict[str, Any]) -> str:
        if name in PSEUDO:
            return PSEUDO[name]
        kind = template["Resources"][name]["Type"]
        return ARNS[kind].format(_name(name)) if kind in REF_IS_ARN else _name(name)


def _attribute(resource: str, attribute: str, template: dict[str, Any]) -> str:
    if attribute == "ModelDataUrl":
        return MODEL_DATA
    if attribute == "Arn":
        return ARNS[template["Resources"][resource]["Type"]].format(_name(resource))
    assert attribute.endswith("Name"), f"{attribute} is not known here"
    return _name(resource)


def _name(logical_id: str) -> str:
    return logical_id.lower()
