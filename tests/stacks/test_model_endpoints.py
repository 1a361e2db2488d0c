"""Endpoints: how they are updated and rolled back, how they scale, and what alarms watch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from contract.metrics import PROBE_FAILED, endpoint_dimensions
from contract.names import Names
from stacks.model.stack import ModelStack
from stage.instance_types import is_gpu, vcpus
from stage.jumpstart import read_lock
from stage.settings import Settings, SettingsError, load_settings
from tests.support.synthesis import Templates, changed, of_type, properties, some_templates_of

ENDPOINT = "AWS::SageMaker::Endpoint"


def _model(stage: str, **changes: Any) -> dict[str, Any]:
    """The Model template of a stage with some settings changed."""
    return some_templates_of(changed(stage, **changes), ModelStack)["Model"]


def _endpoints(model: dict) -> dict[str, dict[str, Any]]:
    return {p["EndpointName"]: p for p in properties(model, ENDPOINT)}


def _alarms(model: dict, endpoint: dict[str, Any]) -> list[dict[str, Any]]:
    """The alarms that roll an update of this endpoint back."""
    named = endpoint["DeploymentConfig"]["AutoRollbackConfiguration"]["Alarms"]
    return [model["Resources"][each["AlarmName"]["Ref"]]["Properties"] for each in named]


def _dimensions(alarm: dict[str, Any]) -> dict[str, Any]:
    return {each["Name"]: each["Value"] for each in alarm["Dimensions"]}


def test_two_instances_or_more_have_a_canary_and_one_moves_all_at_once(
    settings: Settings, model: dict
) -> None:
    for endpoint in settings.endpoints:
        values = _endpoints(model)[settings.names.endpoint(endpoint.instance_type)]
        policy = values["DeploymentConfig"]["BlueGreenUpdatePolicy"]
        routing = policy["TrafficRoutingConfiguration"]
        if endpoint.least_instances > 1:
            assert routing["Type"] == "CANARY"
            assert routing["CanarySize"] == {
                "Type": "CAPACITY_PERCENT",
                "Value": settings.updates.canary_percent,
            }
        else:
            assert routing["Type"] == "ALL_AT_ONCE"
            assert "CanarySize" not in routing
        assert routing["WaitIntervalInSeconds"] == settings.updates.watch_seconds
        assert policy["TerminationWaitInSeconds"] == settings.updates.watch_seconds


def test_endpoints_change_one_after_another(templates: Callable[[str], Templates]) -> None:
    """SageMaker refuses to touch one that changes, so a rollback must not meet any."""
    endpoints = of_type(templates("prod")["Model"], ENDPOINT)
    first, second = endpoints
    assert first in endpoints[second]["DependsOn"]
    assert second not in endpoints[first].get("DependsOn", [])


def test_a_gpus_host_image_can_be_chosen() -> None:
    gpu = {"instance_type": "ml.g5.2xlarge", "host_image": "al2-ami-sagemaker-inference-gpu-3-1"}
    cpu = {"instance_type": "ml.c6i.xlarge"}
    model = _model("dev", endpoints=[gpu, cpu])
    variants = [p["ProductionVariants"][0] for p in properties(model, f"{ENDPOINT}Config")]
    assert {v["InstanceType"]: v.get("InferenceAmiVersion") for v in variants} == {
        "ml.g5.2xlarge": gpu["host_image"],
        "ml.c6i.xlarge": None,
    }
    with pytest.raises(SettingsError, match=r"host_image: ml\.c6i\.xlarge has no GPU"):
        changed("dev", endpoints=[{**cpu, "host_image": gpu["host_image"]}])


def test_the_stages_have_both_kinds() -> None:
    kinds = {e.least_instances > 1 for e in load_settings("prod").endpoints}
    kinds |= {e.least_instances > 1 for e in load_settings("dev").endpoints}
    assert kinds == {True, False}


@pytest.mark.parametrize("watch_seconds", [0, 3600])
def test_an_update_may_take_longer_than_it_waits(watch_seconds: int) -> None:
    model = _model("prod", updates={"watch_seconds": watch_seconds})
    for endpoint in properties(model, ENDPOINT):
        policy = endpoint["DeploymentConfig"]["BlueGreenUpdatePolicy"]
        waits = 3 * watch_seconds  # after the canary, after the rest, before the old ones go
        # Time to start instances and load the model; SageMaker accepts up to 28,800.
        assert waits + 1800 < policy["MaximumExecutionTimeoutInSeconds"] <= 28_800


def test_model_errors_latency_and_wrong_answers_roll_an_update_back(model: dict) -> None:
    for endpoint in properties(model, ENDPOINT):
        alarms = {alarm["MetricName"]: alarm for alarm in _alarms(model, endpoint)}
        assert set(alarms) == {"InvocationModelErrors", "ModelLatency", PROBE_FAILED}
        for alarm in alarms.values():
            assert _dimensions(alarm)["EndpointName"] == endpoint["EndpointName"]
            assert alarm["Period"] == 60
            assert alarm["ComparisonOperator"] == "GreaterThanThreshold"


def test_the_thresholds_are_the_settings(settings: Settings, model: dict) -> None:
    for endpoint in properties(model, ENDPOINT):
        alarms = {alarm["MetricName"]: alarm for alarm in _alarms(model, endpoint)}
        errors = alarms["InvocationModelErrors"]
        assert (errors["Statistic"], errors["Threshold"]) == (
            "Sum",
            settings.updates.max_model_errors,
        )
        latency = alarms["ModelLatency"]
        assert latency["ExtendedStatistic"] == "p99"
        assert latency["Threshold"] == settings.updates.max_model_latency_ms * 1000  # microseconds
        assert alarms[PROBE_FAILED]["Threshold"] == 0


def test_they_watch_only_the_new_instances(stage: str, model: dict) -> None:
    """The errors of a broken model must not roll back the update that fixes it."""
    (bake,) = properties(model, "Custom::Bake")
    for endpoint in properties(model, ENDPOINT):
        alarms = {alarm["MetricName"]: _dimensions(alarm) for alarm in _alarms(model, endpoint)}
        for name in ("InvocationModelErrors", "ModelLatency"):
            assert alarms[name]["EndpointConfigName"] == endpoint["EndpointConfigName"]
            assert alarms[name]["VariantName"] == "primary"
        expected = endpoint_dimensions(stage, endpoint["EndpointName"], bake["BakeId"])
        assert alarms[PROBE_FAILED] == expected


def test_alarms_watch_for_instances_near_their_limits(settings: Settings, model: dict) -> None:
    percent = settings.alarms.instance_percent
    watched = {
        (_dimensions(alarm)["EndpointName"], alarm["MetricName"]): alarm["Threshold"]
        for alarm in properties(model, "AWS::CloudWatch::Alarm")
        if alarm["Namespace"] == "/aws/sagemaker/Endpoints"
    }
    expected = {}
    for endpoint in settings.endpoints:
        name = settings.names.endpoint(endpoint.instance_type)
        cores = {"ml.c6i.xlarge": 4, "ml.g5.2xlarge": 8}[endpoint.instance_type]
        expected[name, "CPUUtilization"] = percent * cores  # summed over cores
        expected[name, "MemoryUtilization"] = percent
        if endpoint.instance_type.startswith("ml.g5"):
            expected[name, "GPUUtilization"] = percent
            expected[name, "GPUMemoryUtilization"] = percent
    assert watched == expected


def test_an_alarm_watches_for_a_probe_without_an_answer(settings: Settings, model: dict) -> None:
    """Of any bake: an endpoint that does not answer does not say which bake it serves."""
    watched = [
        _dimensions(alarm)
        for alarm in properties(model, "AWS::CloudWatch::Alarm")
        if alarm["MetricName"] == PROBE_FAILED and "BakeId" not in _dimensions(alarm)
    ]
    assert watched == [
        endpoint_dimensions(settings.stage, settings.names.endpoint(e.instance_type))
        for e in settings.endpoints
    ]


def test_an_alarm_watches_for_a_failed_bake(model: dict) -> None:
    (alarm,) = (
        a
        for a in properties(model, "AWS::CloudWatch::Alarm")
        if a["MetricName"] == "ExecutionsFailed"
    )
    (machine,) = of_type(model, "AWS::StepFunctions::StateMachine")
    assert _dimensions(alarm) == {"StateMachineArn": {"Ref": machine}}
    assert (alarm["Statistic"], alarm["Threshold"]) == ("Sum", 0)


def test_every_instance_type_of_the_lock_has_its_cores_and_one_gpu_at_most() -> None:
    lock = read_lock()
    types = {t for each in lock.models.values() for t in each.instance_types}
    cores = {"c6i.xlarge": 4, "g4dn.2xlarge": 8, "g5.2xlarge": 8, "g5.4xlarge": 16}
    cores |= {"g5.8xlarge": 32, "p3.2xlarge": 8}
    assert {t: vcpus(t) for t in types} == {f"ml.{t}": count for t, count in cores.items()}
    # GPUUtilization is the sum over all GPUs, and its threshold is for one.
    assert {t for t in types if is_gpu(t)} == {f"ml.{t}" for t in cores if t[0] in "gp"}


@pytest.mark.parametrize("unknown", ["ml.m5.large", "ml.c6i.metal", "xlarge"])
def test_an_unknown_size_is_refused(unknown: str) -> None:
    with pytest.raises(ValueError, match=unknown):
        vcpus(unknown)


class TestScaling:
    def test_only_where_it_is_given(self, settings: Settings, model: dict) -> None:
        scaled = {e.instance_type: e.scaling for e in settings.endpoints if e.scaling}
        targets = {
            p["ResourceId"]: p
            for p in properties(model, "AWS::ApplicationAutoScaling::ScalableTarget")
        }
        assert set(targets) == {
            f"endpoint/{settings.names.endpoint(t)}/variant/primary" for t in scaled
        }
        for instance_type, scaling in scaled.items():
            name = settings.names.endpoint(instance_type)
            target = targets[f"endpoint/{name}/variant/primary"]
            assert (target["MinCapacity"], target["MaxCapacity"]) == (
                scaling.min_instances,
                scaling.max_instances,
            )
        # Without scaling, a changed count would be ignored.
        retaining = {
            name
            for name, values in _endpoints(model).items()
            if values.get("RetainAllVariantProperties")
        }
        assert retaining == {settings.names.endpoint(t) for t in scaled}

    def test_follows_the_concurrent_requests(self, settings: Settings, model: dict) -> None:
        wanted = [e.scaling.concurrent_requests for e in settings.endpoints if e.scaling]
        found = []
        for policy in properties(model, "AWS::ApplicationAutoScaling::ScalingPolicy"):
            tracking = policy["TargetTrackingScalingPolicyConfiguration"]
            found.append(tracking["TargetValue"])
            assert tracking["PredefinedMetricSpecification"] == {
                "PredefinedMetricType": "SageMakerVariantConcurrentRequestsPerModelHighResolution"
            }
        assert found == wanted

    @pytest.fixture
    def scaled(self, templates: Callable[[str], Templates]) -> dict:
        model = templates("prod")["Model"]
        assert of_type(model, "AWS::ApplicationAutoScaling::ScalableTarget")
        return model

    def test_the_target_comes_after_its_endpoint_and_goes_before_it(self, scaled: dict) -> None:
        targets = of_type(scaled, "AWS::ApplicationAutoScaling::ScalableTarget")
        for target in targets.values():
            (endpoint,) = target["DependsOn"]
            values = scaled["Resources"][endpoint]["Properties"]
            assert f"/{values['EndpointName']}/" in target["Properties"]["ResourceId"]
        for policy in properties(scaled, "AWS::ApplicationAutoScaling::ScalingPolicy"):
            assert policy["ScalingTargetId"]["Ref"] in targets

    def test_an_update_keeps_the_count(self, scaled: dict) -> None:
        endpoint = _endpoints(scaled)[Names("prod").endpoint("ml.c6i.xlarge")]
        assert endpoint["RetainAllVariantProperties"] is True
        # CloudFormation documents its one use, for DataCaptureConfig, as not supported.
        assert "ExcludeRetainedVariantProperties" not in endpoint


class TestModels:
    def _processors(self, model: dict) -> set[str]:
        return {name[:3] for name in of_type(model, "AWS::SageMaker::Model")}

    def test_a_batch_on_another_processor_has_its_own_model(self) -> None:
        model = _model("dev", batch={"instance_type": "ml.g5.2xlarge"})
        assert self._processors(model) == {"Cpu", "Gpu"}
        named = {p["Name"] for p in properties(model, "AWS::SSM::Parameter")}
        assert {Names("dev").model_name_parameter(gpu=gpu) for gpu in (False, True)} <= named
        # It serves no endpoint.
        assert len(of_type(model, ENDPOINT)) == 1

    def test_there_is_no_model_that_nothing_uses(
        self, templates: Callable[[str], Templates]
    ) -> None:
        assert self._processors(templates("dev")["Model"]) == {"Cpu"}
