"""Bake, models, endpoints, smoke test, parameters."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from contract.bake_objects import BAKES_PREFIX, bake_prefix, corpus_prefix
from contract.batch_objects import CONCURRENT, INVOCATION_SECONDS
from contract.deployment import Deployment
from contract.names import APP_NAME
from stacks.model.stack import ModelStack
from stage.settings import Settings, load_settings
from tests.support.synthesis import (
    Templates,
    arn_ends,
    changed,
    grant,
    listed,
    of_type,
    properties,
    some_templates_of,
    statements,
    templates_of,
)


def _job(template: dict) -> dict:
    (bake,) = properties(template, "Custom::Bake")
    return bake["TrainingJob"]


def test_one_endpoint_per_instance_type_with_a_fixed_name(settings: Settings, model: dict) -> None:
    names = {p["EndpointName"] for p in properties(model, "AWS::SageMaker::Endpoint")}
    assert names == {settings.names.endpoint(e.instance_type) for e in settings.endpoints}
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


def test_workers_are_several_and_forked_from_a_loaded_process_where_that_works(model: dict) -> None:
    """With a GPU the image's toolkit fails to load before the fork."""
    for name, resource in of_type(model, "AWS::SageMaker::Model").items():
        environment = resource["Properties"]["PrimaryContainer"]["Environment"]
        workers = environment["SAGEMAKER_MODEL_SERVER_WORKERS"]
        expected = ("4", None) if name.startswith("Gpu") else ("16", "true")
        assert (workers, environment.get("MMS_PRELOAD_MODEL")) == expected


def test_the_server_waits_as_long_for_a_worker_as_a_batch_for_the_server(model: dict) -> None:
    """The limit is for loads, too; beyond it the server gives the worker up."""
    for values in properties(model, "AWS::SageMaker::Model"):
        environment = values["PrimaryContainer"]["Environment"]
        seconds = int(environment["SAGEMAKER_MODEL_SERVER_TIMEOUT_SECONDS"])
        assert 600 <= INVOCATION_SECONDS <= seconds


def test_few_requests_wait_behind_those_of_callers_who_have_gone(model: dict) -> None:
    for values in properties(model, "AWS::SageMaker::Model"):
        environment = values["PrimaryContainer"]["Environment"]
        # A batch has groups of records in flight that must not be refused.
        assert CONCURRENT <= int(environment["MMS_JOB_QUEUE_SIZE"]) <= 16


def test_requests_go_to_the_instance_that_has_fewest(model: dict) -> None:
    """A new one, whose model has not finished loading, answers none and so gets few."""
    for config in properties(model, "AWS::SageMaker::EndpointConfig"):
        (variant,) = config["ProductionVariants"]
        assert variant["RoutingConfig"] == {"RoutingStrategy": "LEAST_OUTSTANDING_REQUESTS"}


def test_the_smoke_test_knows_what_an_endpoint_should_compute_on() -> None:
    for device, expected in ((None, ["gpu", "cpu"]), ("cpu", ["cpu", "cpu"])):
        endpoints = [
            {"instance_type": "ml.g5.2xlarge", "device": device},
            {"instance_type": "ml.c6i.xlarge"},
        ]
        model = some_templates_of(changed("dev", endpoints=endpoints), ModelStack)["Model"]
        (smoke,) = properties(model, "Custom::SmokeTest")
        assert smoke["Devices"] == expected


def test_each_endpoint_serves_the_model_of_its_processor(model: dict) -> None:
    for config in properties(model, "AWS::SageMaker::EndpointConfig"):
        (variant,) = config["ProductionVariants"]
        processor = "Gpu" if variant["InstanceType"].startswith("ml.g5") else "Cpu"
        assert variant["ModelName"]["Fn::GetAtt"][0].startswith(f"{processor}Model")
        # The first ping is answered only after the model has been read and compiled.
        assert variant["ContainerStartupHealthCheckTimeoutInSeconds"] >= 300


def test_disks_and_keys_follow_the_instance_family(model: dict) -> None:
    """g5 has local disks, which accept no key; the volume of a c6i must be encrypted."""
    for config in properties(model, "AWS::SageMaker::EndpointConfig"):
        (variant,) = config["ProductionVariants"]
        assert "VolumeSizeInGB" not in variant
        if variant["InstanceType"].startswith("ml.g5"):
            assert "KmsKeyId" not in config
            assert variant["InferenceAmiVersion"] == "al2023-ami-sagemaker-inference-gpu-4-1"
        else:
            assert config["KmsKeyId"]
            assert "InferenceAmiVersion" not in variant
    resources = _job(model)["ResourceConfig"]
    on_local_disk = resources["InstanceType"].startswith("ml.g5")
    assert ("VolumeSizeInGB" in resources) is not on_local_disk
    assert ("VolumeKmsKeyId" in resources) is not on_local_disk


def test_the_job_runs_the_inference_image_isolated_and_encrypted(
    settings: Settings, model: dict
) -> None:
    job = _job(model)
    algorithm = job["AlgorithmSpecification"]
    processor = "gpu" if settings.bake.instance_type.startswith("ml.g5") else "cpu"
    assert f"-{processor}-py312" in algorithm["TrainingImage"]
    assert "huggingface-pytorch-inference:2.6.0-transformers4.51.3" in algorithm["TrainingImage"]
    python, script = algorithm["ContainerEntrypoint"]
    assert python == "python3"
    channels = {
        c["ChannelName"]: c["DataSource"]["S3DataSource"]["S3Uri"] for c in job["InputDataConfig"]
    }
    assert set(channels) == {"code", "vendor", "weights", "corpus"}
    # The entry point is the file that the channel brings.
    assert script.rpartition("/")[2] in json.dumps(channels["code"])
    assert channels["weights"].endswith(settings.jumpstart_model.weights_key)
    # Below the prefix that the execution role may read.
    for name in ("code", "vendor"):
        assert f"/{APP_NAME}/{settings.stage}/" in json.dumps(channels[name])
    assert job["EnableNetworkIsolation"] is True
    assert job["OutputDataConfig"]["KmsKeyId"]
    output = json.dumps(job["OutputDataConfig"]["S3OutputPath"])
    assert f"/{bake_prefix(job['HyperParameters']['bake_id'])}" in output
    seconds = job["StoppingCondition"]["MaxRuntimeInSeconds"]
    assert seconds == settings.bake.max_runtime_minutes * 60
    assert seconds < 3000


def test_the_job_has_the_stacks_tags(settings: Settings, model: dict) -> None:
    """A job of a state machine does not inherit them."""
    tags = {tag["Key"]: tag["Value"] for tag in _job(model)["Tags"]}
    assert tags == {"application": APP_NAME, "stage": settings.stage, **settings.tags}


def test_the_job_knows_what_decides_the_vectors(templates: Callable[[str], Templates]) -> None:
    given = _job(templates("prod")["Model"])["HyperParameters"]
    assert given["corpus_sha256"] == load_settings("prod").corpus_sha256
    assert given["query_prefix"] == "Represent this sentence for searching relevant passages: "
    assert given["dimension"] == "1024"
    assert all(isinstance(value, str) for value in given.values())


def test_cloudformation_waits_an_hour_and_the_workflow_less(model: dict) -> None:
    (bake,) = properties(model, "Custom::Bake")
    assert bake["ServiceTimeout"] == "3600"
    (machine,) = properties(model, "AWS::StepFunctions::StateMachine")
    definition = json.dumps(machine["DefinitionString"]).replace("\\", "")
    (seconds,) = re.findall(r'"TimeoutSeconds": (\d+)', definition)
    assert 3000 < int(seconds) < 3600  # the job's deadline is after 50 minutes
    logging = machine["LoggingConfiguration"]
    assert logging["IncludeExecutionData"] is False  # it holds CloudFormation's answer URL


def test_a_custom_resource_is_waited_for_longer_than_its_function_runs(
    stage_templates: Templates,
) -> None:
    """Otherwise CloudFormation gives up on a function that is about to answer."""
    for template, kind in (("Model", "Custom::SmokeTest"), ("Foundation", "Custom::EmptyBucket")):
        resources = stage_templates[template]["Resources"]
        for resource in properties(stage_templates[template], kind):
            function = resources[resource["ServiceToken"]["Fn::GetAtt"][0]]
            assert function["Properties"]["Timeout"] < int(resource["ServiceTimeout"])


def test_a_broken_execution_is_answered_for(model: dict) -> None:
    (rule,) = (p for p in properties(model, "AWS::Events::Rule") if "EventPattern" in p)
    (machine,) = of_type(model, "AWS::StepFunctions::StateMachine")
    # Only of this state machine, not of all in the account.
    assert rule["EventPattern"]["detail"]["stateMachineArn"] == [{"Ref": machine}]
    assert rule["EventPattern"]["detail"]["status"] == ["FAILED", "TIMED_OUT", "ABORTED"]
    assert len(rule["Targets"]) == 1


def test_parameters_come_after_the_smoke_test_and_that_after_every_endpoint(model: dict) -> None:
    (smoke,) = of_type(model, "Custom::SmokeTest")
    condition, endpoints, none = model["Resources"][smoke]["Properties"]["Endpoints"]["Fn::If"]
    assert (condition, none) == ("IsServing", [])
    assert {each["Ref"] for each in endpoints} == set(of_type(model, "AWS::SageMaker::Endpoint"))
    parameters = of_type(model, "AWS::SSM::Parameter")
    assert len(parameters) >= 3
    for parameter in parameters.values():
        assert smoke in parameter["DependsOn"]


def test_the_smoke_test_has_its_permissions_and_runs_for_every_new_configuration(
    model: dict,
) -> None:
    (smoke,) = of_type(model, "Custom::SmokeTest").values()
    assert [n for n in smoke["DependsOn"] if n.startswith("SmokeTestRoleDefaultPolicy")]
    values = smoke["Properties"]
    configurations = [name["Fn::GetAtt"][0] for name in values["EndpointConfigNames"]]
    assert set(configurations) == set(of_type(model, "AWS::SageMaker::EndpointConfig"))
    (bake,) = properties(model, "Custom::Bake")
    assert values["BakeId"] == bake["BakeId"]
    # Another model, prefix or pooling moves scores by hundredths at least.
    assert 0 < float(values["Tolerance"]) <= 0.01


def test_the_smoke_test_asks_only_the_endpoints_of_this_stack(
    settings: Settings, model: dict
) -> None:
    names = [settings.names.endpoint(e.instance_type) for e in settings.endpoints]
    (smoke,) = properties(model, "Custom::SmokeTest")
    # While switched off there are none.
    assert smoke["EndpointNames"] == {"Fn::If": ["IsServing", names, []]}
    # It compares the configuration of each, too.
    assert len(smoke["EndpointConfigNames"]) == len(names)
    for action in ("sagemaker:InvokeEndpoint", "sagemaker:DescribeEndpoint"):
        assert arn_ends(model, "SmokeTest", action) == {f":endpoint/{name}" for name in names}


def test_the_execution_role_is_passed_to_sagemaker_alone(model: dict) -> None:
    passing = grant(model, "BakeStateMachineRole", "iam:PassRole")
    assert passing["Condition"] == {
        "StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}
    }
    job_role = _job(model)["RoleArn"]
    assert passing["Resource"] == job_role


def test_the_bake_reaches_its_own_jobs_executions_and_artifacts(
    settings: Settings, model: dict
) -> None:
    names = settings.names
    jobs = {f":training-job/{names.prefix}-*"}
    for action in ("CreateTrainingJob", "DescribeTrainingJob", "StopTrainingJob", "AddTags"):
        assert arn_ends(model, "BakeStateMachineRole", f"sagemaker:{action}") == jobs
    function = "BakeBakeResource"
    assert arn_ends(model, function, "sagemaker:StopTrainingJob") == jobs
    readable = [
        s["Resource"]
        for n, s in statements(model)
        if n.startswith(function) and "s3:GetObject" in listed(s["Action"])
    ]
    assert [each["Fn::Join"][1][-1] for each in readable] == [
        f"/{BAKES_PREFIX}*",
        f"-us-east-1/{APP_NAME}/{settings.stage}/*",  # where the CDK publishes the corpus
    ]
    assert arn_ends(model, function, "s3:PutObject") == {f"/{BAKES_PREFIX}*"}
    assert arn_ends(model, function, "states:StartExecution") == {
        f":stateMachine:{names.bake_workflow}"
    }
    assert arn_ends(model, function, "states:StopExecution") == {
        f":execution:{names.bake_workflow}:*"
    }
    (invoked,) = (
        rule
        for rule in of_type(model, "AWS::Events::Rule").values()
        if "EventPattern" in rule["Properties"]
    )
    assert (
        grant(model, "BakeStateMachineRole", "lambda:InvokeFunction")["Resource"]
        == (invoked["Properties"]["Targets"][0]["Arn"])
    )


def test_the_deployment_parameter_says_what_is_served(settings: Settings, model: dict) -> None:
    (bake,) = properties(model, "Custom::Bake")
    (value,) = (
        p["Value"]
        for p in properties(model, "AWS::SSM::Parameter")
        if p["Name"] == settings.names.deployment_parameter
    )
    assert Deployment.from_json(value) == Deployment(
        bake_id=bake["BakeId"],
        model_id=settings.model.id,
        model_version=settings.jumpstart_model.version,
        dimension=settings.jumpstart_model.dimension,
        corpus_sha256=settings.corpus_sha256,
    )


def test_a_parameter_names_the_model_of_each_processor(settings: Settings, model: dict) -> None:
    values = {p["Name"]: p["Value"] for p in properties(model, "AWS::SSM::Parameter")}
    models = of_type(model, "AWS::SageMaker::Model")
    assert models
    for name in models:
        parameter = settings.names.model_name_parameter(gpu=name.startswith("Gpu"))
        assert values.pop(parameter) == {"Fn::GetAtt": [name, "ModelName"]}
    assert set(values) == {settings.names.deployment_parameter, settings.names.serving_parameter}


def test_the_bake_acts_only_with_its_permissions_in_place(model: dict) -> None:
    (bake,) = of_type(model, "Custom::Bake").values()
    policies = {n for n in of_type(model, "AWS::IAM::Policy") if n.startswith("BakeBakeResource")}
    assert policies <= set(bake["DependsOn"])
    assert policies
    (machine,) = of_type(model, "AWS::StepFunctions::StateMachine")
    assert bake["Properties"]["StateMachineArn"] == {"Ref": machine}


def test_the_corpus_is_read_from_the_bakes_own_folder(settings: Settings, model: dict) -> None:
    """The function copies it there from where the CDK published it."""
    (bake,) = properties(model, "Custom::Bake")
    corpus = bake["Corpus"]
    assert _corpus_uri(bake).endswith(f"/{corpus_prefix(bake['BakeId'])}corpus.jsonl")
    assert corpus["FileName"] == "corpus.jsonl"
    assert corpus["Key"].startswith(f"{APP_NAME}/{settings.stage}/")
    assert corpus["Entries"] == settings.corpus_entries == 203


def _corpus_uri(bake: dict) -> str:
    (channel,) = (c for c in bake["TrainingJob"]["InputDataConfig"] if c["ChannelName"] == "corpus")
    return str(channel["DataSource"]["S3DataSource"]["S3Uri"]["Fn::Join"][1][-1])


def test_a_pinned_corpus_is_copied_from_that_version() -> None:
    pinned = {"s3_uri": "s3://theirs/faqs/faq.csv", "version_id": "v7", "sha256": "0" * 64}
    templates = templates_of(changed("dev", corpus={"path": None, **pinned}))
    (bake,) = properties(templates["Model"], "Custom::Bake")
    assert bake["Corpus"] == {
        "Bucket": "theirs",
        "Key": "faqs/faq.csv",
        "VersionId": "v7",
        "FileName": "faq.csv",
    }
    assert _corpus_uri(bake).endswith(f"/{corpus_prefix(bake['BakeId'])}faq.csv")
    readers = {
        name
        for template in templates.values()
        for name, statement in statements(template)
        if "s3:::theirs/faqs/faq.csv" in json.dumps(statement["Resource"])
    }
    assert len(readers) == 1
    assert readers.pop().startswith("BakeBakeResource")
