"""Endpoints as the stacks know them: by name."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch

from contract.metrics import NAMESPACE, endpoint_dimensions
from contract.names import VARIANT
from stacks.common.arns import endpoint_arn
from stacks.common.metrics import metric
from stacks.common.python_function import PythonFunction
from stage.settings import Settings

_MINUTE = cdk.Duration.minutes(1)


class NamedEndpoint:
    """An endpoint of the stage: its metrics, and the permission to invoke it.

    By name, because a reference from another stack would block every update that replaces or
    removes the endpoint.
    """

    def __init__(self, settings: Settings, instance_type: str) -> None:
        self.instance_type = instance_type
        self.name = settings.names.endpoint(instance_type)
        self._stage = settings.stage

    def grant_invoke(self, function: PythonFunction) -> None:
        """Lets a function send requests to the endpoint."""
        function.allow(["sagemaker:InvokeEndpoint"], [endpoint_arn(function, self.name)])

    def invocation_metric(
        self, name: str, statistic: str, *, configuration_name: str | None = None
    ) -> cloudwatch.Metric:
        """A metric of the requests, such as Invocations or ModelLatency (in microseconds).

        Args:
            name: in the namespace AWS/SageMaker.
            statistic: such as Sum or p99.
            configuration_name: counts only the instances with this configuration, which during an
                update are either the old or the new ones.
        """
        dimensions = {"EndpointName": self.name, "VariantName": VARIANT}
        if configuration_name is not None:
            dimensions["EndpointConfigName"] = configuration_name
        return metric("AWS/SageMaker", name, dimensions, statistic, _MINUTE)

    def instance_metric(
        self, name: str, statistic: str = "Average", *, period: cdk.Duration = _MINUTE
    ) -> cloudwatch.Metric:
        """A metric of the instances in percent.

        CPUUtilization is the sum over all cores, GPUUtilization and GPUMemoryUtilization are sums
        over all GPUs; MemoryUtilization is out of 100.
        """
        dimensions = {"EndpointName": self.name, "VariantName": VARIANT}
        return metric("/aws/sagemaker/Endpoints", name, dimensions, statistic, period)

    def probe_metric(
        self, name: str, statistic: str, *, bake_id: str | None = None
    ) -> cloudwatch.Metric:
        """A metric that the probe publishes.

        Args:
            name: one of contract.metrics.
            statistic: such as Maximum.
            bake_id: counts only the answers of this bake; without it all answers count, and
                requests without one.
        """
        dimensions = endpoint_dimensions(self._stage, self.name, bake_id)
        return metric(NAMESPACE, name, dimensions, statistic, _MINUTE)
