"""The requests that CloudFormation and the bake send to SageMaker, Step Functions and SSM.

CloudFormation passes the properties of these types to the API almost unchanged, so a request that
the API's model refuses would fail in the middle of a deployment.
"""

from __future__ import annotations

import json
import re
from typing import Any

import boto3
import pytest

from bake.training_jobs import TrainingJobs
from contract.bake_objects import bake_prefix
from tests.support.model_validator import check_request, service_model
from tests.support.resolved_template import Resolver

STAGES = ["local", "dev", "prod"]
# Only UpdateEndpoint accepts these; CloudFormation keeps them for it.
UPDATE_ONLY = {
    "RetainAllVariantProperties",
    "ExcludeRetainedVariantProperties",
    "RetainDeploymentConfig",
}


@pytest.fixture(params=STAGES)
def stage(request, templates):
    synthesised = templates(request.param)
    return synthesised, Resolver(synthesised)


@pytest.fixture
def model_stack(stage):
    synthesised, resolver = stage
    return lambda kind: resolver.resources(synthesised["Model"], kind)


def as_cloudformation_sends(value: Any) -> Any:
    """Custom resources get every number and boolean as a string."""
    if isinstance(value, dict):
        return {key: as_cloudformation_sends(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [as_cloudformation_sends(inner) for inner in value]
    return json.dumps(value) if isinstance(value, bool | int | float) else str(value)


@pytest.fixture
def training_job(aws, model_stack):
    """The CreateTrainingJob request as the function makes it from the template."""
    [bake] = map(as_cloudformation_sends, model_stack("Custom::Bake"))
    jobs = TrainingJobs(boto3.client("sagemaker"), bake["TrainingJobPrefix"], bake["BakeId"])
    return jobs.request(bake["TrainingJob"])


def test_create_training_job(training_job):
    assert check_request("sagemaker", "CreateTrainingJob", training_job) == []


def test_the_training_job_must_end_before_the_workflow_gives_up(training_job):
    assert training_job["StoppingCondition"]["MaxRuntimeInSeconds"] < 50 * 60


def test_the_training_job_writes_where_the_marker_is(training_job, model_stack):
    [bake] = model_stack("Custom::Bake")
    expected = f"s3://{bake['ArtifactsBucket']}/{bake_prefix(bake['BakeId'])}"
    assert training_job["OutputDataConfig"]["S3OutputPath"] == expected


def test_create_model(model_stack):
    models = model_stack("AWS::SageMaker::Model")
    assert models
    for properties in models:
        request = {"ModelName": "generated", **properties}
        assert check_request("sagemaker", "CreateModel", request) == []


def test_create_endpoint_config(model_stack):
    configurations = model_stack("AWS::SageMaker::EndpointConfig")
    assert configurations
    for properties in configurations:
        request = {"EndpointConfigName": "generated", **properties}
        assert check_request("sagemaker", "CreateEndpointConfig", request) == []


def test_create_and_update_endpoint(model_stack):
    endpoints = model_stack("AWS::SageMaker::Endpoint")
    assert endpoints
    for properties in endpoints:
        create = {k: v for k, v in properties.items() if k not in UPDATE_ONLY}
        assert check_request("sagemaker", "CreateEndpoint", create) == []
        update = {k: v for k, v in properties.items() if k != "Tags"}
        assert check_request("sagemaker", "UpdateEndpoint", update) == []


def test_put_parameter(model_stack):
    parameters = model_stack("AWS::SSM::Parameter")
    assert parameters
    for properties in parameters:
        request = {key: value for key, value in properties.items() if key != "Tags"}
        assert check_request("ssm", "PutParameter", request) == []


@pytest.fixture
def state_machine(model_stack):
    [properties] = model_stack("AWS::StepFunctions::StateMachine")
    return properties


@pytest.fixture
def definition(state_machine):
    text = state_machine["DefinitionString"]
    for name, value in state_machine.get("DefinitionSubstitutions", {}).items():
        text = text.replace(f"${{{name}}}", value)
    assert not re.search(r"\$\{\w+\}", text), "a placeholder is left open"
    return text


def test_create_state_machine(state_machine, definition):
    request = {
        "name": "generated",
        "definition": definition,
        "roleArn": state_machine["RoleArn"],
        "type": state_machine.get("StateMachineType", "STANDARD"),
    }
    assert check_request("stepfunctions", "CreateStateMachine", request) == []


class TestWorkflow:
    @pytest.fixture
    def states(self, definition):
        return json.loads(definition)["States"]

    @pytest.fixture
    def tasks(self, states):
        return {name: state for name, state in states.items() if state["Type"] == "Task"}

    def test_tasks_name_actions_and_members_of_the_apis(self, tasks):
        called = set()
        for task in tasks.values():
            _, _, target = task["Resource"].partition(":states:::")
            service, _, action = target.removeprefix("aws-sdk:").partition(":")
            operation = action[0].upper() + action[1:]
            called.add((service, operation))
            shape = service_model(service).operation_model(operation).input_shape
            members = {name.removesuffix(".$") for name in task["Parameters"]}
            assert members <= set(shape.members)
            assert set(shape.required_members) <= members
        assert called == {
            ("sagemaker", "CreateTrainingJob"),
            ("sagemaker", "DescribeTrainingJob"),
            ("sagemaker", "StopTrainingJob"),
            ("lambda", "Invoke"),
        }

    def test_the_function_fills_exactly_what_the_workflow_hands_on(self, tasks, training_job):
        handed_on = {
            name.removesuffix(".$"): path
            for name, path in tasks["CreateTrainingJob"]["Parameters"].items()
        }
        assert set(handed_on) == set(training_job)
        assert all(path == f"$.training_job.{name}" for name, path in handed_on.items())

    def test_every_task_catches_everything_and_every_way_leads_to_an_end(self, states, tasks):
        for task in tasks.values():
            assert task["Catch"][-1]["ErrorEquals"] == ["States.ALL"]
        for state in states.values():
            followers = [state.get("Next"), state.get("Default")]
            followers += [each["Next"] for each in state.get("Catch", [])]
            followers += [each["Next"] for each in state.get("Choices", [])]
            assert set(filter(None, followers)) <= set(states)

    def test_the_caught_errors_are_exceptions_of_sagemaker(self, states):
        rules = states["CreateTrainingJob"]["Retry"] + states["CreateTrainingJob"]["Catch"]
        named = {name for rule in rules for name in rule["ErrorEquals"]}
        ours = {name for name in named if not name.startswith("States.")}
        shapes = service_model("sagemaker").operation_model("CreateTrainingJob").error_shapes
        assert ours == {
            "SageMaker.ResourceInUseException",
            "SageMaker.ResourceLimitExceededException",
        }
        assert ours <= {f"SageMaker.{shape.name}Exception" for shape in shapes}

    def test_its_history_stays_within_the_limit(self, states):
        """An execution fails at its 25,000th event; a round adds nine."""
        rounds = 50 * 60 / states["Wait"]["Seconds"]
        assert rounds * 9 < 0.8 * 25_000

    def test_it_ends_before_cloudformation_gives_up(self, definition, model_stack):
        limit = json.loads(definition)["TimeoutSeconds"]
        [bake] = model_stack("Custom::Bake")
        assert 50 * 60 < limit < int(bake["ServiceTimeout"]) <= 3600


def test_a_wrong_template_would_be_found(model_stack):
    """The Ref of a model is its ARN, but the configuration needs the name."""
    [properties, *_] = model_stack("AWS::SageMaker::EndpointConfig")
    properties["ProductionVariants"][0]["ModelName"] = "arn:aws:sagemaker:us-east-1:1:model/x"
    request = {"EndpointConfigName": "generated", **properties}
    assert check_request("sagemaker", "CreateEndpointConfig", request) != []
