"""Alarms of one endpoint: those that take an update back, and those that only tell somebody."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_sns as sns
from constructs import Construct

from stacks.common.alarms import alarm
from stacks.common.endpoint_metrics import instance_metric, invocation_metric, probe_metric
from stage.instance_types import is_gpu, vcpus
from stage.settings import Settings

_FIVE_MINUTES = cdk.Duration.minutes(5)


class UpdateAlarms(Construct):
    """What SageMaker watches while it moves an endpoint to a new configuration.

    They look at the new instances alone (by the configuration's name, and by the bake that an
    answer names). Else the errors of a broken model would take back the very update that mends
    it. Without data they are quiet: in a first deployment, and while switched off.

    The errors counted are InvocationModelErrors, whatever their status, because the model server
    answers 400 to each error of the model. So a caller's bad request counts as well; the front
    door refuses those before they reach an endpoint.

    Attributes:
        names: of the alarms, in CloudWatch.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        endpoint_name: str,
        configuration_name: str,
        bake_id: str,
        topic: sns.ITopic,
    ) -> None:
        super().__init__(scope, id_)
        updates = settings.updates
        taken_back = "An update that causes this is rolled back."
        alarms = [
            alarm(
                self,
                "ModelErrors",
                metric=invocation_metric(
                    endpoint_name,
                    "InvocationModelErrors",
                    "Sum",
                    configuration_name=configuration_name,
                ),
                threshold=updates.max_model_errors,
                topic=topic,
                description=f"The model of {endpoint_name} failed on more than"
                f" {updates.max_model_errors} requests in a minute; its log group is"
                f" /aws/sagemaker/Endpoints/{endpoint_name}. {taken_back}",
            ),
            alarm(
                self,
                "ModelLatency",
                metric=invocation_metric(
                    endpoint_name, "ModelLatency", "p99", configuration_name=configuration_name
                ),
                threshold=updates.max_model_latency_ms * 1000,  # in microseconds
                topic=topic,
                # Where little is asked, one slow request is the 99th percentile of its minute.
                periods=3,
                datapoints=2,
                description=f"The model of {endpoint_name} takes more than"
                f" {updates.max_model_latency_ms} ms (99th percentile): more or larger instances"
                f" may be needed. {taken_back}",
            ),
            alarm(
                self,
                "WrongAnswers",
                metric=probe_metric(
                    settings.stage, endpoint_name, "ProbeFailed", "Maximum", bake_id=bake_id
                ),
                threshold=0,
                topic=topic,
                description=f"{endpoint_name} gives different answers to the probe questions than"
                f" the bake did, or none; the probe's log says which. {taken_back}",
            ),
        ]
        self.names = [each.alarm_name for each in alarms]


class WatchingAlarms(Construct):
    """What somebody should look at: no answers, or instances near their limits."""

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        endpoint_name: str,
        instance_type: str,
        topic: sns.ITopic,
    ) -> None:
        super().__init__(scope, id_)
        alarm(
            self,
            "Probe",
            metric=probe_metric(settings.stage, endpoint_name, "ProbeFailed", "Maximum"),
            threshold=0,
            topic=topic,
            periods=3,
            datapoints=2,
            description=f"{endpoint_name} does not answer the probe, or answers incorrectly; see"
            " the probe's log.",
        )
        percent = settings.alarms.instance_percent
        # SageMaker sums the CPU over cores and the GPU over GPUs, of which each instance type
        # that JumpStart offers has one (a test says so).
        cores = vcpus(instance_type)
        limits = {
            "CPUUtilization": ("Average", percent * cores, f"of its {cores} cores"),
            "MemoryUtilization": ("Maximum", percent, "of its memory"),
        }
        if is_gpu(instance_type):
            limits["GPUUtilization"] = ("Average", percent, "of its GPU")
            limits["GPUMemoryUtilization"] = ("Maximum", percent, "of its GPU's memory")
        for name, (statistic, threshold, what) in limits.items():
            alarm(
                self,
                name,
                metric=instance_metric(endpoint_name, name, statistic, period=_FIVE_MINUTES),
                threshold=threshold,
                topic=topic,
                periods=3,
                description=f"{endpoint_name} has used more than {percent} % {what} for 15 minutes:"
                " more or larger instances may be needed.",
            )
