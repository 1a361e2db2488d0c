"""Alarms of one endpoint: those that roll an update back, and those that only notify."""

from __future__ import annotations

from aws_cdk import aws_sns as sns
from constructs import Construct

from contract.metrics import PROBE_FAILED
from stacks.alarms.alarm import alarm
from stacks.common.endpoint import NamedEndpoint
from stacks.common.metrics import FIVE_MINUTES
from stage.instance_types import is_gpu, vcpus
from stage.settings import Settings


class UpdateAlarms(Construct):
    """What SageMaker watches while it moves an endpoint to a new configuration.

    They look at the new instances alone (by the configuration's name, and by the bake that an
    answer names). Otherwise the errors of a broken model would roll back the very update that
    fixes it. Without data they stay quiet: in a first deployment, and while switched off.

    ModelErrors counts InvocationModelErrors whatever their status, because the model server
    answers 400 to every error of the model. So a caller's bad request would count as well, but
    the front door refuses those before they reach an endpoint.

    Attributes:
        names: of the alarms, in CloudWatch.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        endpoint: NamedEndpoint,
        configuration_name: str,
        bake_id: str,
        topic: sns.ITopic,
    ) -> None:
        super().__init__(scope, id_)
        updates = settings.updates
        rolled_back = "An update that causes this is rolled back."
        alarms = [
            alarm(
                self,
                "ModelErrors",
                metric=endpoint.invocation_metric(
                    "InvocationModelErrors", "Sum", configuration_name=configuration_name
                ),
                threshold=updates.max_model_errors,
                topic=topic,
                description=f"The model of {endpoint.name} failed on more than"
                f" {updates.max_model_errors} requests in a minute; its log group is"
                f" /aws/sagemaker/Endpoints/{endpoint.name}. {rolled_back}",
            ),
            alarm(
                self,
                "ModelLatency",
                metric=endpoint.invocation_metric(
                    "ModelLatency", "p99", configuration_name=configuration_name
                ),
                threshold=updates.max_model_latency_ms * 1000,  # in microseconds
                topic=topic,
                # With little traffic, one slow request is the 99th percentile of its minute.
                periods=3,
                datapoints=2,
                description=f"The model of {endpoint.name} takes more than"
                f" {updates.max_model_latency_ms} ms (99th percentile): more or larger instances"
                f" may be needed. {rolled_back}",
            ),
            alarm(
                self,
                "WrongAnswers",
                metric=endpoint.probe_metric(PROBE_FAILED, "Maximum", bake_id=bake_id),
                threshold=0,
                topic=topic,
                description=f"{endpoint.name} gives different answers to the probe questions than"
                f" the bake did, or none; the probe's log says which. {rolled_back}",
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
        endpoint: NamedEndpoint,
        topic: sns.ITopic,
    ) -> None:
        super().__init__(scope, id_)
        alarm(
            self,
            "Probe",
            metric=endpoint.probe_metric(PROBE_FAILED, "Maximum"),
            threshold=0,
            topic=topic,
            periods=3,
            datapoints=2,
            description=f"{endpoint.name} does not answer the probe, or answers incorrectly; see"
            " the probe's log.",
        )
        percent = settings.alarms.instance_percent
        # SageMaker sums the CPU over cores and the GPU over GPUs, of which each instance type
        # that JumpStart offers has one (a test checks that).
        cores = vcpus(endpoint.instance_type)
        limits = {
            "CPUUtilization": ("Average", percent * cores, f"of its {cores} cores"),
            "MemoryUtilization": ("Maximum", percent, "of its memory"),
        }
        if is_gpu(endpoint.instance_type):
            limits["GPUUtilization"] = ("Average", percent, "of its GPU")
            limits["GPUMemoryUtilization"] = ("Maximum", percent, "of its GPU's memory")
        for name, (statistic, threshold, what) in limits.items():
            alarm(
                self,
                name,
                metric=endpoint.instance_metric(name, statistic, period=FIVE_MINUTES),
                threshold=threshold,
                topic=topic,
                periods=3,
                description=f"{endpoint.name} has used more than {percent} % {what} for 15 minutes:"
                " more or larger instances may be needed.",
            )
