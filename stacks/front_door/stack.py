"""The FrontDoor stack: the REST API and the functions behind it."""

from __future__ import annotations

import json

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct

from contract.names import APP_NAME
from contract.outputs import API_AUTH, API_KEY_ID, API_KEY_IDS, API_URL, CONSOLE_URL
from stacks.alarms.stage import FrontDoorAlarms
from stacks.common.arns import parameter_arn, vector_indexes_arn
from stacks.common.endpoint import NamedEndpoint
from stacks.common.python_function import PythonFunction, packages_layer
from stacks.common.stage_stack import StageStack
from stacks.foundation.stack import FoundationStack
from stacks.front_door.batch_api import BatchApi
from stacks.front_door.console import PATH, Console
from stacks.front_door.rest_api import RestApi
from stacks.front_door.web_acl import WebAcl
from stage.capacity import REQUEST_SECONDS, max_tokens
from stage.prices import prices_for
from stage.settings import Settings
from stage.vendor import LAYER

# API Gateway gives up after 29 s. The function answers before that, and its calls to endpoints end
# before the function does, after REQUEST_SECONDS.
_FUNCTION_SECONDS = 28


class FrontDoorStack(StageStack):
    """Knows the endpoints by name, and reads at run time from SSM what they serve."""

    def __init__(
        self, scope: Construct, *, settings: Settings, foundation: FoundationStack
    ) -> None:
        super().__init__(
            scope,
            "FrontDoor",
            settings=settings,
            contents="the REST API",
            foundation=foundation,
        )
        description = "Powertools and pydantic, as locked in requirements/lambda.txt"
        layer = packages_layer(self, "Packages", LAYER, description)
        endpoints = [NamedEndpoint(settings, e.instance_type) for e in settings.endpoints]
        prices = prices_for(settings)
        parameters = (settings.names.deployment_parameter, settings.names.serving_parameter)
        front_door = PythonFunction(
            self,
            "Function",
            handler="front_door.handler.handler",
            name=settings.names.front_door_function,
            description="Answers the REST API from the endpoints",
            timeout=cdk.Duration.seconds(_FUNCTION_SECONDS),
            memory_mb=1024,
            tracing=True,
            reserved_concurrency=settings.api.reserved_concurrency,
            layers=[layer],
            environment={
                "APP_STAGE": settings.stage,
                "ENDPOINTS": json.dumps(
                    [
                        {
                            "instance_type": deployed.instance_type,
                            "endpoint_name": deployed.name,
                            "min_instances": chosen.least_instances,
                            "max_instances": chosen.most_instances,
                            "hourly_price": prices.hour_of(deployed.instance_type),
                            "max_tokens": max_tokens(
                                settings.jumpstart_model, chosen, settings.model.precision
                            ),
                        }
                        for deployed, chosen in zip(endpoints, settings.endpoints, strict=True)
                    ]
                ),
                "DEPLOYMENT_PARAMETER": settings.names.deployment_parameter,
                "SERVING_PARAMETER": settings.names.serving_parameter,
                "MIN_SCORE": str(settings.search.min_score),
                "MARGIN": str(settings.search.margin),
                "UNANSWERED_BELOW": str(settings.unanswered_below),
                "LEXICAL": str(settings.search.ranking != "vectors").lower(),
                "MAX_SEQ_LENGTH": str(settings.max_seq_length),
                "TIME_BUDGET_SECONDS": str(REQUEST_SECONDS),
                "CORS_ORIGINS": json.dumps(settings.api.cors_origins),
                "POWERTOOLS_SERVICE_NAME": APP_NAME,
                "POWERTOOLS_LOG_LEVEL": "INFO",
            },
        )
        for endpoint in endpoints:
            endpoint.grant_invoke(front_door)
        front_door.allow(["ssm:GetParameter"], [parameter_arn(self, p) for p in parameters])
        if settings.search.has_vector_index:
            self._ask_index(front_door, foundation.key)
        if settings.search.keep_unanswered:
            self._keep_unanswered(front_door, foundation.key)
        batch = BatchApi(self, "Batch", settings=settings, foundation=foundation, layer=layer)
        api = RestApi(
            self,
            "Api",
            settings=settings,
            front_door=front_door.publish(snap_start=settings.api.snap_start),
            batch=batch.alias,
        )
        if settings.api.waf is not None:
            WebAcl(self, "WebAcl", settings=settings, waf_settings=settings.api.waf, api=api.api)
        if settings.api.console:
            Console(
                self,
                "Console",
                settings=settings,
                api=api.api,
                batch_bucket=foundation.storage.batch,
            )
            self.add_output(CONSOLE_URL, f"{api.url}{PATH}", "The console, a page for the browser")
        FrontDoorAlarms(self, "Alarms", settings=settings, topic=foundation.topic)
        self.add_output(API_URL, api.url, "Base URL of the REST API")
        self.add_output(API_AUTH, settings.api.auth, "How requests are authorised")
        if api.key_ids:
            # Batches belong to the callers that the keys are named for.
            by_name = dict(sorted(api.key_ids.items()))
            batch.function.function.add_environment("API_KEYS", self.to_json_string(by_name))
            self.add_output(
                API_KEY_ID,
                list(api.key_ids.values())[-1],
                "Id of the newest API key; `aws apigateway get-api-key --include-value` shows its"
                " value",
            )
            self.add_output(
                API_KEY_IDS, self.to_json_string(api.key_ids), "Id of each API key by its name"
            )

    def _ask_index(self, front_door: PythonFunction, key: kms.IKey) -> None:
        """Lets the function ask the indexes of S3 Vectors, of which a parameter names one."""
        names = self.settings.names
        front_door.function.add_environment("INDEX_PARAMETER", names.index_parameter)
        front_door.allow(["ssm:GetParameter"], [parameter_arn(self, names.index_parameter)])
        # GetVectors, because the answers hold metadata, and filters read it.
        front_door.allow(
            ["s3vectors:GetVectors", "s3vectors:QueryVectors"],
            {vector_indexes_arn(self, names.vector_bucket): "Indexes are named by their hashes."},
        )
        # S3 Vectors decrypts on behalf of the caller.
        front_door.allow(["kms:Decrypt"], [key.key_arn])

    def _keep_unanswered(self, front_door: PythonFunction, key: kms.IKey) -> None:
        """Adds the log of unanswered questions, which the function may only add to."""
        search = self.settings.search
        log = logs.CfnLogGroup(
            self,
            "Unanswered",
            log_group_name=self.settings.names.unanswered_log_group,
            kms_key_id=key.key_arn,
            retention_in_days=search.unanswered_retention_days,
        )
        # Even where the stage retains its data: turning the setting off is meant to delete them,
        # and a retained group of this name would block turning it on again.
        log.apply_removal_policy(cdk.RemovalPolicy.DESTROY)
        front_door.allow(["logs:CreateLogStream", "logs:PutLogEvents"], [log.attr_arn])
        front_door.function.add_environment("UNANSWERED_LOG_GROUP", log.ref)
