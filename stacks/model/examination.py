"""Compares the endpoints' answers with the bake's: once a deployment, and then every minute."""

from __future__ import annotations

import json
from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from constructs import Construct, IDependable

from stacks.common.arns import endpoint_arn, parameter_arn
from stacks.common.python_function import PythonFunction
from stacks.model.bake import Bake
from stacks.model.endpoint import EmbeddingEndpoint
from stacks.model.switch import ServingSwitch
from stage.settings import Settings

# How far a score may differ from the bake's. CPUs, GPUs and their kernels round differently; a
# wrong model or prefix differs far more.
_TOLERANCE = 0.005
_MINUTE = cdk.Duration.minutes(1)


class SmokeTest(Construct):
    """A custom resource that fails the deployment if an endpoint gives a wrong answer.

    InService only means that the server answers pings, not that it serves what was deployed:
    SageMaker may have rolled an update back by itself. Switching on runs the test too, and is
    rolled back if the test fails.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        bake: Bake,
        endpoints: Sequence[EmbeddingEndpoint],
        switch: ServingSwitch,
    ) -> None:
        super().__init__(scope, id_)
        function = PythonFunction(
            self,
            "SmokeTest",
            handler="examination.smoke_test.handler",
            description="Repeats the bake's probes on every endpoint",
            timeout=cdk.Duration.minutes(5),
        )
        for endpoint in endpoints:
            endpoint.grant_invoke(function)
        function.allow(
            ["sagemaker:DescribeEndpoint"],
            [endpoint_arn(self, endpoint.name) for endpoint in endpoints],
        )
        function.allow(["cloudformation:DescribeStacks"], [cdk.Stack.of(self).stack_id])
        self.resource = cdk.CustomResource(
            self,
            "Resource",
            resource_type="Custom::SmokeTest",
            service_token=function.function.function_arn,
            service_timeout=cdk.Duration.minutes(10),
            properties={
                "BakeId": bake.bake_id,
                # Empty while switched off; then nothing is tested.
                "EndpointNames": switch.choose([endpoint.name for endpoint in endpoints], []),
                # The function ignores these. They make the test run after the endpoints.
                "Endpoints": switch.choose([endpoint.resource.ref for endpoint in endpoints], []),
                # What each endpoint must serve with and compute on, in the same order.
                "EndpointConfigNames": [
                    endpoint.configuration.attr_endpoint_config_name for endpoint in endpoints
                ],
                "Devices": [endpoint.device for endpoint in endpoints],
                "Tolerance": _TOLERANCE,
            },
        )
        self.resource.node.add_dependency(function.role)


class Probe(Construct):
    """A function on a schedule, whose metrics the alarms watch. Stops while switched off.

    Args:
        after: must have succeeded before the schedule starts: until then it is no failure that
            an endpoint does not answer.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        endpoints: Sequence[EmbeddingEndpoint],
        switch: ServingSwitch,
        after: IDependable,
    ) -> None:
        super().__init__(scope, id_)
        # It is written anew whenever the corpus changes.
        corpus_parameter = (
            settings.names.index_parameter
            if settings.search.has_vector_index
            else settings.names.deployment_parameter
        )
        function = PythonFunction(
            self,
            "Probe",
            handler="examination.probe.handler",
            description="Repeats the bake's probes on every endpoint, every minute",
            timeout=cdk.Duration.seconds(50),  # it ends before the next one starts
            environment={
                "APP_STAGE": settings.stage,
                "ENDPOINT_NAMES": json.dumps([endpoint.name for endpoint in endpoints]),
                "CORPUS_PARAMETER": corpus_parameter,
                "TOLERANCE": str(_TOLERANCE),
            },
        )
        for endpoint in endpoints:
            endpoint.grant_invoke(function)
        function.allow(["ssm:GetParameter"], [parameter_arn(self, corpus_parameter)])
        schedule = events.Rule(
            self,
            "Schedule",
            description="Runs the probe while the endpoints are switched on",
            schedule=events.Schedule.rate(_MINUTE),
            # A late probe is useless: the next one is due.
            targets=[
                targets.LambdaFunction(function.function, retry_attempts=0, max_event_age=_MINUTE)
            ],
        )
        rule = schedule.node.default_child
        assert isinstance(rule, events.CfnRule)
        rule.state = cdk.Token.as_string(switch.choose("ENABLED", "DISABLED"))
        schedule.node.add_dependency(after)
