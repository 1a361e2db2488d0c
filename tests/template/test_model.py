"""Bake, models, endpoints, smoke test, parameters."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from stacks.settings import load_settings
from tests.template.synthesis import (
    ROOT,
    Templates,
    of_type,
    properties,
    statements,
    synthesise,
)


@pytest.fixture
def model(stage_templates: Templates) -> dict:
    return stage_templates["Model"]


def _job(template: dict) -> dict:
    (bake,) = properties(template, "Custom::Bake")
    return bake["TrainingJob"]


def test_one_endpoint_per_instance_type_with_a_fixed_name(stage: str, model: dict) -> None:
    settings = load_settings(stage)
    names = {p["EndpointName"] for p in properties(model, "AWS::SageMaker::Endpoint")}
    assert names == {settings.endpoint_name(e.instance_type) for e in settings.endpoints}
    counts = {
        variant["InstanceType"]: variant["InitialInstanceCount"]
        for config in properties(model, "AWS::SageMaker::EndpointConfig")
        for variant in config["ProductionVariants"]
    }
    assert counts == {e.instance_type: e.instance_count for e in settings.endpoints}


def test_models_and_configurations_have_no_name_to_clash(model: dict) -> None:
    for values in properties(model, "AWS::SageMaker::Model"):
        assert "ModelName" not in values
    for values in properties(model, "AWS::SageMaker::EndpointConfig"):
        assert "EndpointConfigName" not in values


def test_each_model_has_the_image_of_its_processor_and_the_bakes_id(model: dict) -> None:
    (bake,) = properties(model, "Custom::Bake")
    for name, resource in of_type(model, "AWS::SageMaker::Model").items():
        container = resource["Properties"]["PrimaryContainer"]
        processor = "gpu" if name.startswith("Gpu") else "cpu"
        assert f"-{processor}-py312" in container["Image"]
        assert container["Environment"]["BAKE_ID"] == bake["BakeId"]
        assert resource["Properties"]["EnableNetworkIsolation"] is True
        assert container["ModelDataUrl"]["Fn::GetAtt"][1] == "ModelDataUrl"


def test_disks_and_keys_follow_the_instance_family(model: dict) -> None:
    """g5 has local disks, which take no key; c6i has none, and its volume must be encrypted."""
    for config in properties(model, "AWS::SageMaker::EndpointConfig"):
        (variant,) = config["ProductionVariants"]
        assert "VolumeSizeInGB" not in variant
        if variant["InstanceType"].startswith("ml.g5"):
            assert "KmsKeyId" not in config
            assert variant["InferenceAmiVersion"].startswith("al2-ami-sagemaker-inference-gpu")
        else:
            assert config["KmsKeyId"]
            assert "InferenceAmiVersion" not in variant
    resources = _job(model)["ResourceConfig"]
    on_local_disk = resources["InstanceType"].startswith("ml.g5")
    assert ("VolumeSizeInGB" in resources) is not on_local_disk
    assert ("VolumeKmsKeyId" in resources) is not on_local_disk


def test_the_job_runs_the_inference_image_isolated_and_encrypted(stage: str, model: dict) -> None:
    job = _job(model)
    settings = load_settings(stage)
    algorithm = job["AlgorithmSpecification"]
    assert "huggingface-pytorch-inference:2.6.0-transformers4.51.3" in algorithm["TrainingImage"]
    python, script = algorithm["ContainerEntrypoint"]
    assert python == "python3"
    channels = {
        c["ChannelName"]: c["DataSource"]["S3DataSource"]["S3Uri"] for c in job["InputDataConfig"]
    }
    assert set(channels) == {"code", "vendor", "weights", "corpus"}
    # The entry point is the very file that the channel brings.
    assert script.rpartition("/")[2] in json.dumps(channels["code"])
    assert channels["weights"].endswith(settings.jumpstart_model.weights_key)
    assert job["EnableNetworkIsolation"] is True
    assert job["OutputDataConfig"]["KmsKeyId"]
    assert job["StoppingCondition"]["MaxRuntimeInSeconds"] < 3000


def test_the_job_is_told_what_decides_the_vectors(
    templates: Callable[[str], Templates],
) -> None:
    settings = load_settings("prod")
    told = _job(templates("prod")["Model"])["HyperParameters"]
    assert told["corpus_sha256"] == settings.corpus_sha256
    assert told["query_prefix"] == "Represent this sentence for searching relevant passages: "
    assert told["dimension"] == "1024"
    assert all(isinstance(value, str) for value in told.values())


def test_cloudformation_waits_an_hour_and_the_workflow_less(model: dict) -> None:
    (bake,) = properties(model, "Custom::Bake")
    assert bake["ServiceTimeout"] == "3600"
    (machine,) = properties(model, "AWS::StepFunctions::StateMachine")
    assert '"TimeoutSeconds": 3300' in json.dumps(machine["DefinitionString"]).replace("\\", "")
    logging = machine["LoggingConfiguration"]
    assert logging["IncludeExecutionData"] is False  # it holds CloudFormation's answer URL


def test_a_broken_execution_is_answered_for(model: dict) -> None:
    (rule,) = properties(model, "AWS::Events::Rule")
    assert rule["EventPattern"]["detail"]["status"] == ["FAILED", "TIMED_OUT", "ABORTED"]
    assert len(rule["Targets"]) == 1


def test_parameters_come_after_the_smoke_test_and_that_after_every_endpoint(model: dict) -> None:
    (smoke,) = of_type(model, "Custom::SmokeTest")
    endpoints = set(of_type(model, "AWS::SageMaker::Endpoint"))
    assert endpoints <= set(model["Resources"][smoke]["DependsOn"])
    parameters = of_type(model, "AWS::SSM::Parameter")
    assert len(parameters) >= 2
    for parameter in parameters.values():
        assert smoke in parameter["DependsOn"]


def test_the_deployment_parameter_says_what_is_served(stage: str, model: dict) -> None:
    settings = load_settings(stage)
    (bake,) = properties(model, "Custom::Bake")
    (value,) = (
        json.loads(p["Value"])
        for p in properties(model, "AWS::SSM::Parameter")
        if p["Name"] == f"/faq-search/{stage}/deployment"
    )
    assert value == {
        "bake_id": bake["BakeId"],
        "model_id": settings.model.id,
        "model_version": settings.jumpstart_model.version,
        "dimension": settings.jumpstart_model.dimension,
        "corpus_sha256": settings.corpus_sha256,
    }


def test_the_bake_acts_only_with_its_permissions_in_place(model: dict) -> None:
    (bake,) = of_type(model, "Custom::Bake").values()
    policies = {n for n in of_type(model, "AWS::IAM::Policy") if n.startswith("BakeBakeResource")}
    assert policies <= set(bake["DependsOn"])
    assert policies


def test_a_pinned_corpus_is_copied_and_read_from_the_bakes_own_folder(tmp_path: Path) -> None:
    text = (ROOT / "config/dev.toml").read_text(encoding="utf-8")
    local = 'path = "corpus/sample/amazon_sagemaker_faq.csv"'
    assert local in text
    pinned = 's3_uri = "s3://theirs/faq.csv"\nversion_id = "v7"\nsha256 = "' + "0" * 64 + '"'
    (tmp_path / "dev.toml").write_text(text.replace(local, pinned))
    templates = synthesise("dev", directory=tmp_path)
    (bake,) = properties(templates["Model"], "Custom::Bake")
    assert bake["PinnedCorpus"] == {"Bucket": "theirs", "Key": "faq.csv", "VersionId": "v7"}
    (channel,) = (c for c in bake["TrainingJob"]["InputDataConfig"] if c["ChannelName"] == "corpus")
    uri = json.dumps(channel["DataSource"]["S3DataSource"]["S3Uri"])
    assert f"/bakes/{bake['BakeId']}/corpus/" in uri
    readers = {
        name
        for template in templates.values()
        for name, statement in statements(template)
        if "s3:::theirs/faq.csv" in json.dumps(statement["Resource"])
    }
    assert len(readers) == 1
    assert readers.pop().startswith("BakeBakeResource")
