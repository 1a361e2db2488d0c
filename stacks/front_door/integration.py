"""How the REST API calls a function."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from contract.names import API_STAGE

# API Gateway's most.
_TIMEOUT = cdk.Duration.seconds(29)


def integrate(
    scope: Construct, id_: str, *, api: apigateway.RestApi, function: lambda_.IFunction
) -> apigateway.Integration:
    """An integration with a function, which the API may call before a stage can ask it to.

    The CDK's own would permit each method of the stage, and so only once the stage is there.

    Args:
        id_: Of the permission, in `scope`.
    """
    permission = lambda_.CfnPermission(
        scope,
        id_,
        action="lambda:InvokeFunction",
        function_name=function.function_arn,
        principal="apigateway.amazonaws.com",
        source_arn=api.arn_for_execute_api(stage=API_STAGE),
    )
    deployment = api.latest_deployment
    assert deployment is not None
    deployment.node.add_dependency(permission)
    return apigateway.AwsIntegration(
        service="lambda",
        proxy=True,
        path=f"2015-03-31/functions/{function.function_arn}/invocations",
        options=apigateway.IntegrationOptions(timeout=_TIMEOUT),
    )
