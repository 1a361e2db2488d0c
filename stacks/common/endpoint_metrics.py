"""Metrics of an endpoint, as SageMaker and the probe publish them."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch

# The one production variant of every endpoint.
VARIANT = "primary"
# What our own functions publish.
NAMESPACE = "FaqSearch"

_MINUTE = cdk.Duration.minutes(1)


def invocation_metric(
    endpoint_name: str,
    name: str,
    statistic: str,
    *,
    configuration_name: str | None = None,
    period: cdk.Duration = _MINUTE,
) -> cloudwatch.Metric:
    """A metric of the requests, e.g. Invocations (Sum), ModelLatency (p99, in microseconds).

    configuration_name: of the instances with this configuration alone, which in an update are
        either the old or the new ones; default all.
    """
    dimensions = {"EndpointName": endpoint_name, "VariantName": VARIANT}
    if configuration_name is not None:
        dimensions["EndpointConfigName"] = configuration_name
    return cloudwatch.Metric(
        namespace="AWS/SageMaker",
        metric_name=name,
        dimensions_map=dimensions,
        statistic=statistic,
        period=period,
    )


def instance_metric(
    endpoint_name: str, name: str, statistic: str = "Average", *, period: cdk.Duration = _MINUTE
) -> cloudwatch.Metric:
    """A metric of the instances, in percent: CPUUtilization, MemoryUtilization, GPUUtilization,
    GPUMemoryUtilization. That of the CPU is summed over cores, those of GPUs over GPUs."""
    return cloudwatch.Metric(
        namespace="/aws/sagemaker/Endpoints",
        metric_name=name,
        dimensions_map={"EndpointName": endpoint_name, "VariantName": VARIANT},
        statistic=statistic,
        period=period,
    )


def probe_metric(
    stage: str,
    endpoint_name: str,
    name: str,
    statistic: str,
    *,
    bake_id: str | None = None,
    period: cdk.Duration = _MINUTE,
) -> cloudwatch.Metric:
    """A metric of the probe: ProbeFailed (0 or 1 each minute) or ProbeLatency (in milliseconds).

    bake_id: failures of this bake's answers alone; default all, with requests that nobody
        answered.
    """
    dimensions = {"Stage": stage, "EndpointName": endpoint_name}
    if bake_id is not None:
        dimensions["BakeId"] = bake_id
    return cloudwatch.Metric(
        namespace=NAMESPACE,
        metric_name=name,
        dimensions_map=dimensions,
        statistic=statistic,
        period=period,
    )
