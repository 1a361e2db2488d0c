"""The FrontDoor stack: the REST API and the function behind it."""

from __future__ import annotations

import json
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from stacks.bundles import LAYER, vendored_bundle
from stacks.python_function import RUNTIME, PythonFunction
from stacks.rest_api import RestApi
from stacks.retention import removal_policy
from stacks.settings import APP_NAME, Settings

# API Gateway gives up after 29 s; the function answers before that, and its calls to the
# endpoints end before the function does.
_FUNCTION_SECONDS = 28
_BUDGET_SECONDS = 26


class FrontDoorStack(cdk.Stack):
    """Knows the endpoints by their names and reads what they serve from SSM at run time."""

    def __init__(self, scope: Construct, id_: str, *, settings: Settings, **options: Any) -> None:
        super().__init__(scope, id_, **options)
        policy = removal_policy(settings)
        packages = vendored_bundle(LAYER)
        layer = lambda_.LayerVersion(
            self,
            "Packages",
            code=lambda_.Code.from_asset(str(packages.path), asset_hash=packages.hash),
            compatible_runtimes=[RUNTIME],
            compatible_architectures=[lambda_.Architecture.X86_64],
            description="Powertools and pydantic, as locked in requirements/lambda.txt",
        )
        names = {
            e.instance_type: settings.endpoint_name(e.instance_type) for e in settings.endpoints
        }
        front_door = PythonFunction(
            self,
            "Function",
            folder="front_door",
            description="Answers the REST API from the endpoints",
            timeout=cdk.Duration.seconds(_FUNCTION_SECONDS),
            memory_mb=1024,
            removal_policy=policy,
            tracing=True,
            layers=[layer],
            environment={
                "APP_STAGE": settings.stage,
                "ENDPOINTS": json.dumps(
                    [{"instance_type": t, "endpoint_name": n} for t, n in names.items()]
                ),
                "DEPLOYMENT_PARAMETER": settings.deployment_parameter,
                "TIME_BUDGET_SECONDS": str(_BUDGET_SECONDS),
                "POWERTOOLS_SERVICE_NAME": APP_NAME,
                "POWERTOOLS_LOG_LEVEL": "INFO",
            },
        )
        front_door.allow(
            ["sagemaker:InvokeEndpoint"],
            [
                self.format_arn(service="sagemaker", resource="endpoint", resource_name=name)
                for name in names.values()
            ],
        )
        front_door.allow(
            ["ssm:GetParameter"],
            [
                self.format_arn(
                    service="ssm",
                    resource="parameter",
                    resource_name=settings.deployment_parameter.lstrip("/"),
                )
            ],
        )
        api = RestApi(self, "Api", settings=settings, function=front_door.function)
        self._output("ApiUrl", api.url, "Base URL of the REST API")
        self._output("ApiAuth", settings.api.auth, "How requests are authorised")
        if api.key_id is not None:
            self._output(
                "ApiKeyId",
                api.key_id,
                "Id of the API key; `aws apigateway get-api-key --include-value` shows its value",
            )

    def _output(self, id_: str, value: str, description: str) -> None:
        """An output whose logical id is its name, so that tools and people find it."""
        cdk.CfnOutput(self, id_, value=value, description=description).override_logical_id(id_)
