"""AWS::SageMaker::Endpoint: guarded updates by CloudFormation's provider."""

from __future__ import annotations

import threading
import time
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from local_aws.cloudformation.resources.base import CancelledError, Properties, Request
from local_aws.cloudformation.resources.sagemaker import Endpoint
from local_aws.server import LocalAws
from tests.support.sagemaker import (
    Workbench,
    canary,
    guarded_by,
    invoke,
    is_alive,
    wait_until,
)


def guarded(alarm: str, seconds: str) -> Properties:
    """A DeploymentConfig; CloudFormation writes numbers as text."""
    return canary("50", seconds, "0", **guarded_by(alarm))


class Deployed:
    """An endpoint that a stack has created."""

    def __init__(self, aws: LocalAws, workbench: Workbench, **properties: Any) -> None:
        self.aws = aws
        self.workbench = workbench
        self.name = f"E-{uuid4().hex[:10]}"
        self.properties: Properties = {"EndpointName": self.name}
        workbench.names.append(self.name)
        self.arn = ""
        request = self.request({**properties, **self.config("old")})
        self.arn = Endpoint().create(request).physical_id

    def config(self, greeting: str, **settings: Any) -> dict[str, str]:
        return {
            "EndpointConfigName": self.workbench.configure(settings=settings, GREETING=greeting)
        }

    def request(self, properties: Properties) -> Request:
        return Request(
            context=self.aws.context,
            region=self.aws.context.region,
            stack_id="stack",
            stack_name="app",
            logical_id="Endpoint",
            type="AWS::SageMaker::Endpoint",
            properties={**self.properties, **properties},
            token="t",
            physical_id=self.arn,
            old=self.properties,
        )

    def update(self, **properties: Any) -> None:
        Endpoint().update(self.request(properties))

    def describe(self) -> dict[str, Any]:
        return self.workbench.sagemaker.describe_endpoint(EndpointName=self.name)


def test_an_update_lasts_as_long_as_it_is_watched(
    aws: LocalAws, workbench: Workbench, alarm: str
) -> None:
    endpoint = Deployed(aws, workbench, DeploymentConfig=guarded(alarm, "1"))
    began = time.monotonic()
    endpoint.update(**endpoint.config("new"), DeploymentConfig=guarded(alarm, "1"))
    assert time.monotonic() - began >= 1
    assert endpoint.describe()["EndpointStatus"] == "InService"
    assert invoke(aws, endpoint.name)["greeting"] == "new"


def test_an_update_that_sagemaker_takes_back_looks_like_one_that_succeeded(
    aws: LocalAws, workbench: Workbench, alarm: str
) -> None:
    """The status is the same; only configuration and reason tell."""
    endpoint = Deployed(aws, workbench)
    before = endpoint.describe()["EndpointConfigName"]
    cloudwatch = aws.context.client("cloudwatch")
    ring = threading.Timer(
        1, lambda: cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="x")
    )
    ring.start()
    endpoint.update(**endpoint.config("new"), DeploymentConfig=guarded(alarm, "60"))
    found = endpoint.describe()
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", before)
    assert f"in ALARM state: {alarm}" in found["FailureReason"]
    assert invoke(aws, endpoint.name)["greeting"] == "old"


def test_an_update_to_the_same_configuration_is_an_update(
    aws: LocalAws, workbench: Workbench
) -> None:
    endpoint = Deployed(aws, workbench)
    before = workbench.pid(endpoint.name)
    config = endpoint.describe()["EndpointConfigName"]
    endpoint.update(EndpointConfigName=config)
    wait_until(lambda: not is_alive(before))
    assert invoke(aws, endpoint.name)["greeting"] == "old"


def test_what_is_in_progress_is_not_waited_for(
    aws: LocalAws, workbench: Workbench, alarm: str
) -> None:
    """So a rollback beside an update fails, and with it the stack's."""
    endpoint = Deployed(aws, workbench)
    before = endpoint.describe()["EndpointConfigName"]
    cancelled = endpoint.request(
        {**endpoint.config("new"), "DeploymentConfig": guarded(alarm, "60")}
    )
    cancelled.cancelled.set()
    with pytest.raises(CancelledError):
        Endpoint().update(cancelled)
    with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
        endpoint.update(EndpointConfigName=before)
    with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
        Endpoint().delete(endpoint.request({}))


def test_a_deployment_that_the_template_no_longer_has_guards_nothing(
    aws: LocalAws, workbench: Workbench, alarm: str
) -> None:
    endpoint = Deployed(aws, workbench, DeploymentConfig=guarded(alarm, "60"))
    aws.context.client("cloudwatch").set_alarm_state(
        AlarmName=alarm, StateValue="ALARM", StateReason="x"
    )
    endpoint.update(**endpoint.config("new"))
    assert "LastDeploymentConfig" not in endpoint.describe()
    assert invoke(aws, endpoint.name)["greeting"] == "new"


def test_scaling_is_retained_by_an_update(aws: LocalAws, workbench: Workbench) -> None:
    endpoint = Deployed(aws, workbench)
    workbench.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=endpoint.name,
        DesiredWeightsAndCapacities=[{"VariantName": "AllTraffic", "DesiredInstanceCount": 4}],
    )
    endpoint.update(
        **endpoint.config("new", InitialInstanceCount=2),
        RetainAllVariantProperties="true",
        ExcludeRetainedVariantProperties=[{"VariantPropertyType": "DataCaptureConfig"}],
    )
    assert endpoint.describe()["ProductionVariants"][0]["DesiredInstanceCount"] == 4
    endpoint.update(**endpoint.config("newer", InitialInstanceCount=2))
    assert endpoint.describe()["ProductionVariants"][0]["DesiredInstanceCount"] == 2
