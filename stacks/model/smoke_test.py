"""Asks every endpoint what the bake asked, and fails the deployment on another answer."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk
from constructs import Construct

from stacks.common.python_function import PythonFunction
from stacks.common.retention import removal_policy
from stacks.model.bake import Bake
from stacks.model.endpoint import EmbeddingEndpoint
from stacks.model.switch import ServingSwitch
from stage.settings import Settings

# How far a score may be from the bake's. CPU and GPU, and the kernels of either, round
# differently; a wrong model or prefix is off by far more.
TOLERANCE = 0.005


class SmokeTest(Construct):
    """InService only says that the server answers pings; this says that the model answers right.

    Switching on tests as well, and goes back to off where the test fails.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        bake: Bake,
        endpoints: Sequence[EmbeddingEndpoint],
        switch: ServingSwitch,
    ) -> None:
        super().__init__(scope, id_)
        stack = cdk.Stack.of(self)
        function = PythonFunction(
            self,
            "SmokeTest",
            handler="examination.smoke_test.handler",
            description="Repeats the bake's probes on every endpoint",
            timeout=cdk.Duration.minutes(5),
            removal_policy=removal_policy(settings),
        )
        function.allow(
            ["sagemaker:InvokeEndpoint"],
            [
                stack.format_arn(
                    service="sagemaker", resource="endpoint", resource_name=endpoint.name
                )
                for endpoint in endpoints
            ],
        )
        function.allow(["cloudformation:DescribeStacks"], [stack.stack_id])
        self.resource = cdk.CustomResource(
            self,
            "Resource",
            resource_type="Custom::SmokeTest",
            service_token=function.function.function_arn,
            service_timeout=cdk.Duration.minutes(10),
            properties={
                "BakeId": bake.bake_id,
                # None while switched off; then the test has nothing to fail on.
                "EndpointNames": switch.choose([endpoint.name for endpoint in endpoints], []),
                # Not read by the function. The test comes after the endpoints, and runs again
                # for a changed configuration.
                "Endpoints": switch.choose([endpoint.resource.ref for endpoint in endpoints], []),
                "EndpointConfigNames": [
                    endpoint.configuration.attr_endpoint_config_name for endpoint in endpoints
                ],
                "Tolerance": TOLERANCE,
            },
        )
        self.resource.node.add_dependency(function.role)
