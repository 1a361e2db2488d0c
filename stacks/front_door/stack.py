"""The FrontDoor stack: the REST API and the functions behind it."""

from __future__ import annotations

import json
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from contract.names import APP_NAME
from stacks.common.python_function import RUNTIME, PythonFunction
from stacks.common.retention import removal_policy
from stacks.foundation.stack import FoundationStack
from stacks.front_door.alarms import FrontDoorAlarms
from stacks.front_door.batch_api import BatchApi
from stacks.front_door.rest_api import RestApi
from stage.settings import Settings
from stage.vendor import LAYER, vendored_bundle

# API Gateway gives up after 29 s; the function answers before that, and its calls to the
# endpoints end before the function does.
_FUNCTION_SECONDS = 28
_BUDGET_SECONDS = 26


class FrontDoorStack(cdk.Stack):
    """Knows the endpoints by their names and reads what they serve from SSM at run time."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        foundation: FoundationStack,
        **options: Any,
    ) -> None:
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
            e.instance_type: settings.names.endpoint(e.instance_type) for e in settings.endpoints
        }
        front_door = PythonFunction(
            self,
            "Function",
            handler="front_door.handler.handler",
            name=settings.names.front_door_function,
            description="Answers the REST API from the endpoints",
            timeout=cdk.Duration.seconds(_FUNCTION_SECONDS),
            memory_mb=1024,
            removal_policy=policy,
            tracing=True,
            reserved_concurrency=settings.api.reserved_concurrency,
            layers=[layer],
            environment={
                "APP_STAGE": settings.stage,
                "ENDPOINTS": json.dumps(
                    [{"instance_type": t, "endpoint_name": n} for t, n in names.items()]
                ),
                "DEPLOYMENT_PARAMETER": settings.names.deployment_parameter,
                "SERVING_PARAMETER": settings.names.serving_parameter,
                "MIN_SCORE": str(settings.alarms.min_score),
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
                self.format_arn(service="ssm", resource="parameter", resource_name=name.lstrip("/"))
                for name in (settings.names.deployment_parameter, settings.names.serving_parameter)
            ],
        )
        batch = BatchApi(self, "Batch", settings=settings, foundation=foundation, layer=layer)
        api = RestApi(
            self,
            "Api",
            settings=settings,
            front_door=front_door.function,
            batch=batch.function,
        )
        FrontDoorAlarms(self, "Alarms", settings=settings, topic=foundation.topic)
        self._output("ApiUrl", api.url, "Base URL of the REST API")
        self._output("ApiAuth", settings.api.auth, "How requests are authorised")
        if api.key_ids:
            self._output(
                "ApiKeyId",
                list(api.key_ids.values())[-1],
                "Id of the newest API key; `aws apigateway get-api-key --include-value` shows its"
                " value",
            )
            self._output(
                "ApiKeyIds", self.to_json_string(api.key_ids), "Id of each API key by its name"
            )

    def _output(self, id_: str, value: str, description: str) -> None:
        """An output whose logical id is its name, so that tools and people find it."""
        cdk.CfnOutput(self, id_, value=value, description=description).override_logical_id(id_)
