"""A local AWS with a bucket, its clients, and what its endpoints consist of."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from local_aws.sagemaker.children import Children
from local_aws.sagemaker.instance import Instance, InstancePlan
from local_aws.server import LocalAws
from tests.support.access import local_aws
from tests.support.sagemaker import BUCKET, ECHO, MakeInstance, Workbench


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    with local_aws(tmp_path_factory.mktemp("aws")) as local:
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


@pytest.fixture
def make_instance(tmp_path: Path) -> Iterator[MakeInstance]:
    """Makes a model server, not yet started, of one program."""
    children = Children()

    def build(
        program: str = ECHO, timeout: float = 20.0, site: str = "", **environment: str
    ) -> Instance:
        code = tmp_path / "unpacked" / "code"
        code.mkdir(parents=True)
        (code / "inference.py").write_text(program)
        (code / "sitecustomize.py").write_text(site)
        plan = InstancePlan(
            label="endpoint",
            environment=environment,
            model_dir=code.parent,
            folder=tmp_path / "instance",
            log=tmp_path / "log",
            health_check_timeout=timeout,
        )
        return Instance(plan, children, threading.Event())

    yield build
    children.close()
