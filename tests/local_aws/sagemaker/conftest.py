"""A local AWS with a bucket, and its clients."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from local_aws.server import LocalAws
from tests.support.sagemaker import BUCKET, Workbench


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with LocalAws(tmp_path_factory.mktemp("aws")) as local:
        local.context.client("s3").create_bucket(Bucket=BUCKET)
        yield local


@pytest.fixture(scope="module")
def sagemaker(aws: LocalAws) -> Any:
    return aws.context.client("sagemaker")


@pytest.fixture(scope="module")
def s3(aws: LocalAws) -> Any:
    return aws.context.client("s3")


@pytest.fixture
def workbench(aws: LocalAws) -> Iterator[Workbench]:
    with Workbench(aws) as bench:
        yield bench


@pytest.fixture
def alarm(aws: LocalAws) -> str:
    name = f"errors-{uuid4().hex[:8]}"
    aws.context.client("cloudwatch").put_metric_alarm(
        AlarmName=name,
        Namespace="AWS/SageMaker",
        MetricName="Invocation5XXErrors",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=0,
        ComparisonOperator="GreaterThanThreshold",
    )
    return name
