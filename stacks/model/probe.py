"""Asks every endpoint each minute what the bake asked, for alarms to go by."""

from __future__ import annotations

import json
from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from constructs import Construct, IDependable

from stacks.common.python_function import PythonFunction
from stacks.common.retention import removal_policy
from stacks.model.endpoint import EmbeddingEndpoint
from stacks.model.smoke_test import TOLERANCE
from stacks.model.switch import ServingSwitch
from stage.settings import Settings

_MINUTE = cdk.Duration.minutes(1)


class Probe(Construct):
    """A function on a schedule, which rests while the endpoints are switched off.

    after: what must have succeeded before the schedule is switched on; no sooner is it a fault
        that an endpoint does not answer.
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
        stack = cdk.Stack.of(self)
        function = PythonFunction(
            self,
            "Probe",
            handler="examination.probe.handler",
            description="Repeats the bake's probes on every endpoint, every minute",
            timeout=cdk.Duration.seconds(50),  # it has ended before it begins again
            removal_policy=removal_policy(settings),
            environment={
                "APP_STAGE": settings.stage,
                "ENDPOINT_NAMES": json.dumps([endpoint.name for endpoint in endpoints]),
                "DEPLOYMENT_PARAMETER": settings.names.deployment_parameter,
                "TOLERANCE": str(TOLERANCE),
            },
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
        function.allow(
            ["ssm:GetParameter"],
            [
                stack.format_arn(
                    service="ssm",
                    resource="parameter",
                    resource_name=settings.names.deployment_parameter.removeprefix("/"),
                )
            ],
        )
        schedule = events.Rule(
            self,
            "Schedule",
            description="Runs the probe while the endpoints are switched on",
            schedule=events.Schedule.rate(_MINUTE),
            # A late probe is of no use: the next one is due.
            targets=[
                targets.LambdaFunction(function.function, retry_attempts=0, max_event_age=_MINUTE)
            ],
        )
        rule = schedule.node.default_child
        assert isinstance(rule, events.CfnRule)
        rule.state = cdk.Token.as_string(switch.choose("ENABLED", "DISABLED"))
        schedule.node.add_dependency(after)
