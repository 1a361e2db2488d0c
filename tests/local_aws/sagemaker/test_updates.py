"""Guarded updates of endpoints lose no request, whether they succeed or not."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from local_aws.server import LocalAws
from tests.support.sagemaker import (
    Workbench,
    await_endpoint,
    canary,
    guarded_by,
    invoke,
    is_alive,
    wait_until,
)

# Ends its server at the third request, as a leak would at the thousandth.
DIES = """
import os
asked = []
def model_fn(model_dir):
    return None
def transform_fn(model, *request):
    asked.append(1)
    if len(asked) > 2:
        os._exit(1)
    return '{"greeting": "new"}'
"""


class Traffic:
    """Continuous requests from three callers."""

    def __init__(self, aws: LocalAws, name: str) -> None:
        self._aws = aws
        self._name = name
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(3)]
        self.answers: list[str] = []
        self.failures: list[Exception] = []

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        self.await_more(50)
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join()

    def await_more(self, count: int) -> list[str]:
        """Waits for `count` more answers and returns the new ones."""
        start = len(self.answers)
        wait_until(lambda: self.failures or len(self.answers) >= start + count, timeout=30)
        return self.answers[start:]

    def _ask(self) -> None:
        while not self._done.is_set():
            try:
                self.answers.append(invoke(self._aws, self._name, {"sleep": 0.002})["greeting"])
            except ClientError as error:
                self.failures.append(error)


def all_at_once(termination: int, **more: Any) -> dict[str, Any]:
    return {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0},
            "TerminationWaitInSeconds": termination,
        },
        **more,
    }


@pytest.fixture
def cloudwatch(aws: LocalAws) -> BaseClient:
    return aws.context.client("cloudwatch")


def ring(cloudwatch: BaseClient, alarm: str) -> None:
    cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="a test")


@pytest.fixture
def name(workbench: Workbench) -> str:
    endpoint = workbench.create(settings={"InitialInstanceCount": 2}, GREETING="old")
    await_endpoint(workbench.sagemaker, endpoint)
    return endpoint


def update(workbench: Workbench, name: str, config: str, **members: Any) -> None:
    workbench.sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config, **members)


def await_baking(workbench: Workbench, name: str) -> dict[str, Any]:
    """Waits until the new fleet has part of the traffic; returns the endpoint's description."""

    def baking() -> dict[str, Any] | None:
        found = workbench.sagemaker.describe_endpoint(EndpointName=name)
        variants = found["PendingDeploymentSummary"]["ProductionVariants"]
        return found if variants[0]["VariantStatus"][0]["Status"] == "Baking" else None

    return wait_until(baking)


def test_a_canary_gets_everything_in_the_end(
    aws: LocalAws, workbench: Workbench, name: str, alarm: str
) -> None:
    config = workbench.configure(settings={"InitialInstanceCount": 2}, GREETING="new")
    deployment = canary(percent=25, wait=3, termination=1, **guarded_by(alarm))
    old_pid = workbench.pid(name)
    with Traffic(aws, name) as traffic:
        update(workbench, name, config, DeploymentConfig=deployment)
        updating = await_baking(workbench, name)
        found = await_endpoint(workbench.sagemaker, name)
        traffic.await_more(50)
    assert not traffic.failures
    assert updating["EndpointStatus"] == "Updating"
    assert updating["EndpointConfigName"] != config
    assert updating["PendingDeploymentSummary"]["EndpointConfigName"] == config
    assert updating["PendingDeploymentSummary"]["ProductionVariants"][0]["InstanceType"] == (
        "ml.c6i.xlarge"
    )
    assert set(traffic.answers[-40:]) == {"new"}
    assert found["EndpointStatus"] == "InService"
    assert found["EndpointConfigName"] == config
    assert found["LastDeploymentConfig"] == deployment
    assert "FailureReason" not in found
    assert "PendingDeploymentSummary" not in found
    wait_until(lambda: not is_alive(old_pid))


@pytest.mark.parametrize(
    ("deployment", "least", "most"),
    [(canary(percent=25, wait=60), 0.1, 0.4), (all_at_once(termination=60), 0.9, 1)],
)
def test_an_alarm_moves_all_traffic_back_to_the_old_fleet(
    aws: LocalAws,
    workbench: Workbench,
    name: str,
    cloudwatch: BaseClient,
    alarm: str,
    deployment: dict[str, Any],
    least: float,
    most: float,
) -> None:
    config = workbench.configure(GREETING="new")
    before = workbench.sagemaker.describe_endpoint(EndpointName=name)["EndpointConfigName"]
    with Traffic(aws, name) as traffic:
        update(workbench, name, config, DeploymentConfig={**deployment, **guarded_by(alarm)})
        await_baking(workbench, name)
        watched = traffic.await_more(300)[:300]
        ring(cloudwatch, alarm)
        found = await_endpoint(workbench.sagemaker, name)
        traffic.await_more(50)
    assert not traffic.failures
    assert least < watched.count("new") / 300 <= most
    assert set(traffic.answers[-40:]) == {"old"}
    assert found["EndpointStatus"] == "InService"
    assert found["EndpointConfigName"] == before
    assert alarm in found["FailureReason"]
    assert "PendingDeploymentSummary" not in found
    assert len(list(workbench.folder(name).iterdir())) == 1


def test_the_endpoint_rolls_back_while_the_last_requests_are_answered(
    aws: LocalAws, workbench: Workbench, name: str, cloudwatch: BaseClient, alarm: str
) -> None:
    config = workbench.configure(GREETING="new")
    update(
        workbench,
        name,
        config,
        DeploymentConfig=all_at_once(termination=60, **guarded_by(alarm)),
    )
    await_baking(workbench, name)
    slow: list[str] = []
    caller = threading.Thread(
        target=lambda: slow.append(invoke(aws, name, {"sleep": 1.5})["greeting"])
    )
    caller.start()
    ring(cloudwatch, alarm)
    wait_until(
        lambda: (
            workbench.sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"]
            == "RollingBack"
        )
    )
    with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
        update(workbench, name, config)
    assert invoke(aws, name)["greeting"] == "old"
    caller.join()
    assert slow == ["new"]
    assert await_endpoint(workbench.sagemaker, name)["EndpointStatus"] == "InService"


def test_an_alarm_that_rings_already_ends_the_update_before_it_begins(
    aws: LocalAws, workbench: Workbench, name: str, cloudwatch: BaseClient, alarm: str
) -> None:
    ring(cloudwatch, alarm)
    config = workbench.configure(GREETING="new")
    with Traffic(aws, name) as traffic:
        update(workbench, name, config, DeploymentConfig=canary(**guarded_by(alarm)))
        found = await_endpoint(workbench.sagemaker, name)
    assert alarm in found["FailureReason"]
    assert not traffic.failures
    assert set(traffic.answers) == {"old"}


def test_an_alarm_has_to_be_there(workbench: Workbench, name: str, alarm: str) -> None:
    config = workbench.configure()
    with pytest.raises(ClientError, match="Could not find the CloudWatch alarms nobody's"):
        update(
            workbench,
            name,
            config,
            DeploymentConfig=canary(**guarded_by(alarm, "nobody's")),
        )
    found = workbench.sagemaker.describe_endpoint(EndpointName=name)
    assert found["EndpointStatus"] == "InService"


def test_without_a_deployment_config_everything_moves_at_once_and_no_answer_is_lost(
    aws: LocalAws, workbench: Workbench, name: str
) -> None:
    config = workbench.configure(GREETING="new")
    slow: list[str] = []
    with Traffic(aws, name) as traffic:
        caller = threading.Thread(
            target=lambda: slow.append(invoke(aws, name, {"sleep": 0.8})["greeting"])
        )
        caller.start()
        traffic.await_more(20)
        update(workbench, name, config)
        updating = workbench.sagemaker.describe_endpoint(EndpointName=name)
        found = await_endpoint(workbench.sagemaker, name)
        wait_until(lambda: traffic.answers[-3:] == ["new"] * 3)
        caller.join()
    assert updating["EndpointStatus"] == "Updating"
    assert found["EndpointConfigName"] == config
    assert not traffic.failures
    assert slow == ["old"]
    assert set(traffic.answers) == {"old", "new"}
    wait_until(lambda: len(list(workbench.folder(name).iterdir())) == 1)


@pytest.mark.parametrize("members", [{}, {"DeploymentConfig": canary()}])
def test_a_fleet_that_never_starts_gets_no_request(
    aws: LocalAws, workbench: Workbench, name: str, members: dict[str, Any]
) -> None:
    config = workbench.configure(site="import os, time\ntime.sleep(0.3)\nos._exit(1)")
    with Traffic(aws, name) as traffic:
        update(workbench, name, config, **members)
        found = await_endpoint(workbench.sagemaker, name)
        traffic.await_more(50)
    assert not traffic.failures
    assert set(traffic.answers) == {"old"}
    assert (found["EndpointStatus"], found["EndpointConfigName"] == config) == ("InService", False)
    assert "did not pass the ping health check" in found["FailureReason"]


@pytest.mark.parametrize("deployment", [canary(wait=60), all_at_once(termination=60)])
def test_a_container_that_dies_under_traffic_loses_nothing(
    aws: LocalAws, workbench: Workbench, name: str, deployment: dict[str, Any]
) -> None:
    config = workbench.configure(DIES)
    with Traffic(aws, name) as traffic:
        update(workbench, name, config, DeploymentConfig=deployment)
        found = await_endpoint(workbench.sagemaker, name)
        traffic.await_more(200)
    assert not traffic.failures
    assert "new" in traffic.answers
    assert set(traffic.answers[-150:]) == {"old"}
    assert found["EndpointConfigName"] != config
    assert "ended during the deployment" in found["FailureReason"]


def test_an_endpoint_under_update_can_not_be_updated(workbench: Workbench, name: str) -> None:
    config = workbench.configure()
    update(workbench, name, config, DeploymentConfig=canary(wait=60))
    await_baking(workbench, name)
    with pytest.raises(ClientError, match="Cannot update in-progress endpoint") as raised:
        update(workbench, name, config)
    assert raised.value.response["Error"]["Code"] == "ValidationException"


def test_nor_can_it_be_deleted(workbench: Workbench, name: str) -> None:
    update(workbench, name, workbench.configure(), DeploymentConfig=canary(wait=60))
    await_baking(workbench, name)
    with pytest.raises(ClientError, match="Cannot update in-progress endpoint") as raised:
        workbench.sagemaker.delete_endpoint(EndpointName=name)
    assert raised.value.response["Error"]["Code"] == "ValidationException"


def test_nor_can_one_that_is_being_created(workbench: Workbench) -> None:
    name = workbench.create(site="import time\ntime.sleep(60)")
    with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
        workbench.sagemaker.delete_endpoint(EndpointName=name)


def test_an_update_needs_the_configuration_that_it_leaves(workbench: Workbench, name: str) -> None:
    config = workbench.sagemaker.describe_endpoint(EndpointName=name)["EndpointConfigName"]
    workbench.sagemaker.delete_endpoint_config(EndpointConfigName=config)
    with pytest.raises(ClientError, match=f"Could not find endpoint configuration .*{config}"):
        update(workbench, name, workbench.configure())


def test_deleting_an_endpoint_ends_its_processes(workbench: Workbench, name: str) -> None:
    process = workbench.pid(name)
    workbench.sagemaker.delete_endpoint(EndpointName=name)
    workbench.names.remove(name)
    wait_until(lambda: not is_alive(process))


def test_the_last_deployment_can_be_repeated_or_forgotten(
    workbench: Workbench, name: str, cloudwatch: BaseClient, alarm: str
) -> None:
    deployment = all_at_once(termination=1, **guarded_by(alarm))
    update(workbench, name, workbench.configure(), DeploymentConfig=deployment)
    await_endpoint(workbench.sagemaker, name)
    ring(cloudwatch, alarm)
    update(workbench, name, workbench.configure(), RetainDeploymentConfig=True)
    found = await_endpoint(workbench.sagemaker, name)
    assert found["LastDeploymentConfig"] == deployment
    assert alarm in found["FailureReason"]
    update(workbench, name, workbench.configure())
    found = await_endpoint(workbench.sagemaker, name)
    assert "LastDeploymentConfig" not in found
    assert "FailureReason" not in found


@pytest.mark.parametrize(
    ("excluded", "count", "weight"),
    [
        (None, 2, 1.0),
        ([], 5, 0.5),
        (["DataCaptureConfig"], 5, 0.5),
        (["DesiredInstanceCount"], 2, 0.5),
        (["DesiredWeight", "DataCaptureConfig"], 5, 1.0),
    ],
)
def test_scaling_is_retained_on_request(
    workbench: Workbench, name: str, excluded: list[str] | None, count: int, weight: float
) -> None:
    workbench.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName=name,
        DesiredWeightsAndCapacities=[
            {"VariantName": "AllTraffic", "DesiredInstanceCount": 5, "DesiredWeight": 0.5}
        ],
    )
    config = workbench.configure(settings={"InitialInstanceCount": 2})
    retaining: dict[str, Any] = {}
    if excluded is not None:
        retaining = {
            "RetainAllVariantProperties": True,
            "ExcludeRetainedVariantProperties": [
                {"VariantPropertyType": kind} for kind in excluded
            ],
        }
    update(workbench, name, config, **retaining)
    (variant,) = await_endpoint(workbench.sagemaker, name)["ProductionVariants"]
    assert (variant["CurrentInstanceCount"], variant["DesiredWeight"]) == (count, weight)


def test_only_variants_that_are_there_can_be_scaled(workbench: Workbench, name: str) -> None:
    with pytest.raises(ClientError, match="no variant Other"):
        workbench.sagemaker.update_endpoint_weights_and_capacities(
            EndpointName=name,
            DesiredWeightsAndCapacities=[{"VariantName": "Other", "DesiredInstanceCount": 1}],
        )
