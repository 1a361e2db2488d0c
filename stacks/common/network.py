"""The private network of a stage, as what runs in it sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sagemaker as sagemaker
from constructs import IDependable

from stacks.common.policies import statement

# Those of AWSLambdaVPCAccessExecutionRole that are not about logs.
_INTERFACES_OF_FUNCTIONS = (
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
)
# As SageMaker's guide lists them for jobs and models with a VpcConfig.
INTERFACES_OF_SAGEMAKER = (
    "ec2:CreateNetworkInterface",
    "ec2:CreateNetworkInterfacePermission",
    "ec2:DeleteNetworkInterface",
    "ec2:DeleteNetworkInterfacePermission",
    "ec2:DescribeDhcpOptions",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
)


@dataclass(frozen=True)
class Network:
    """Subnets without a route to the Internet, and who may reach whom in them.

    Args:
        function_group: security group of functions: to the interface endpoints and S3.
        model_group: of models and training jobs: to S3 alone.
        api_endpoint_id: the one VPC endpoint that a private REST API answers; None for a public
            one.
        ready: what a function needs before it can reach anything.
    """

    subnet_ids: Sequence[str]
    function_group: str
    model_group: str
    api_endpoint_id: str | None
    ready: IDependable

    def take_in(self, function: lambda_.Function, role: iam.Role) -> None:
        """Runs a function in the network."""
        resource = function.node.default_child
        assert isinstance(resource, lambda_.CfnFunction)
        resource.vpc_config = lambda_.CfnFunction.VpcConfigProperty(
            subnet_ids=[*self.subnet_ids], security_group_ids=[self.function_group]
        )
        everything = {"*": "Lambda makes the network interfaces, whose ids nobody knows before."}
        role.add_to_policy(statement(role, _INTERFACES_OF_FUNCTIONS, everything))
        # Lambda needs them; the function's own code, which this key tells apart, does not.
        role.add_to_policy(
            iam.PolicyStatement(
                effect=iam.Effect.DENY,
                actions=[*_INTERFACES_OF_FUNCTIONS],
                resources=["*"],
                conditions={"Null": {"lambda:SourceFunctionArn": "false"}},
            )
        )

    def of_model(self) -> sagemaker.CfnModel.VpcConfigProperty:
        """For a model, and so for its endpoints and transform jobs."""
        return sagemaker.CfnModel.VpcConfigProperty(
            subnets=[*self.subnet_ids], security_group_ids=[self.model_group]
        )

    def of_training_job(self) -> dict[str, object]:
        """For a request to CreateTrainingJob."""
        return {"Subnets": [*self.subnet_ids], "SecurityGroupIds": [self.model_group]}
