"""The console: a page below the API's own URL, open to all, that asks the API as callers do."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.common.policies import acknowledge
from stacks.common.python_function import PythonFunction
from stacks.front_door.integration import integrate
from stage.settings import Settings

PATH = "console"

_FUNCTION_SECONDS = 10
_FILES = "{proxy+}"
# A page view asks for a dozen small files, and for none of them again while they stay the same.
_RATE = 50
_BURST = 100


def console_limits(**others: Any) -> dict[str, apigateway.MethodDeploymentOptions]:
    """How often the page's files may be asked for, apart from the callers' own limits.

    Args:
        others: the stage's other settings, none of which a method with settings of its own takes.
    """
    options = apigateway.MethodDeploymentOptions(
        throttling_rate_limit=_RATE, throttling_burst_limit=_BURST, **others
    )
    return {f"/{PATH}/GET": options, f"/{PATH}/{_FILES}/GET": options}


class Console(Construct):
    """A function that holds the page's files, and the two methods that answer with them."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        api: apigateway.RestApi,
        batch_bucket: s3.IBucket,
    ) -> None:
        super().__init__(scope, id_)
        stack = cdk.Stack.of(self)
        function = PythonFunction(
            self,
            "Function",
            handler="console.handler.handler",
            description="Serves the files of the console",
            timeout=cdk.Duration.seconds(_FUNCTION_SECONDS),
            environment={
                "API_AUTH": settings.api.auth,
                # Where presigned URLs lead.
                "UPLOAD_ORIGIN": f"https://{batch_bucket.bucket_name}.s3.{stack.region}"
                f".{stack.url_suffix}",
            },
        )
        alias = function.publish(snap_start=False)
        integration = integrate(self, "Permission", api=api, function=alias)
        page = api.root.add_resource(PATH)
        for resource in (page, page.add_resource(_FILES)):
            method = resource.add_method(
                "GET", integration, authorization_type=apigateway.AuthorizationType.NONE
            )
            reason = (
                "The page's files hold no data. What the page asks is authorised as any request."
            )
            acknowledge(method, {"AwsSolutions-APIG4": reason, "AwsSolutions-COG4": reason})
