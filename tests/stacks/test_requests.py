"""The requests that CloudFormation and the bake send to the other services.

CloudFormation passes the properties of these types to the APIs almost unchanged, so a request that
an API's model refuses would fail in the middle of a deployment.
"""

from __future__ import annotations

import json
import re
from typing import Any

import boto3
import pytest

from bake.training_jobs import TrainingJobs
from contract.bake_objects import bake_prefix
from local_aws.service_models import service_model
from tests.support.model_validator import check_request
from tests.support.resolved_template import Resolver

# What creates a resource of a type: service, operation, and the member that holds its name, which
# CloudFormation makes up. The members after those never go into that request.
REQUESTS = {
    "AWS::ApplicationAutoScaling::ScalableTarget": (
        "application-autoscaling",
        "RegisterScalableTarget",
        None,
    ),
    "AWS::CloudWatch::Alarm": ("cloudwatch", "PutMetricAlarm", None),
    "AWS::CloudWatch::Dashboard": ("cloudwatch", "PutDashboard", None),
    "AWS::Events::Rule": ("events", "PutRule", "Name", "Targets"),
    "AWS::IAM::Role": ("iam", "CreateRole", "RoleName", "Policies", "ManagedPolicyArns", "Tags"),
    "AWS::SNS::Subscription": ("sns", "Subscribe", None),
    "AWS::SSM::Parameter": ("ssm", "PutParameter", None, "Tags"),
    "AWS::SageMaker::Endpoint": (
        "sagemaker",
        "CreateEndpoint",
        None,
        # Only UpdateEndpoint accepts these; CloudFormation keeps them for it.
        "RetainAllVariantProperties",
        "ExcludeRetainedVariantProperties",
        "RetainDeploymentConfig",
    ),
    "AWS::SageMaker::EndpointConfig": ("sagemaker", "CreateEndpointConfig", "EndpointConfigName"),
    "AWS::SageMaker::Model": ("sagemaker", "CreateModel", "ModelName"),
    "AWS::Scheduler::Schedule": ("scheduler", "CreateSchedule", "Name"),
}


@pytest.fixture(params=["local", "dev", "prod", "everything"])
def stage(request, templates, everything):
    synthesised = everything if request.param == "everything" else templates(request.param)
    return synthesised, Resolver(synthesised)


@pytest.fixture
def model_stack(stage):
    synthesised, resolver = stage
    return lambda kind: resolver.resources(synthesised["Model"], kind)


def violations(kind: str, properties: dict[str, Any]) -> list[str]:
    """What AWS would refuse of a resource."""
    service, operation, name, *left_out = REQUESTS[kind]
    request = {
        key: json.dumps(value) if key in ("AssumeRolePolicyDocument", "EventPattern") else value
        for key, value in properties.items()
        if key not in left_out
    }
    return check_request(service, operation, ({name: "generated"} if name else {}) | request)


def test_every_resource_can_be_created(stage):
    synthesised, resolver = stage
    found = [
        (kind, properties)
        for template in synthesised.values()
        for kind in REQUESTS
        for properties in resolver.resources(template, kind)
    ]
    assert len(found) > 20
    assert [each for kind, properties in found for each in violations(kind, properties)] == []


def test_every_kind_of_resource_is_among_them(templates, everything):
    kinds = {
        resource["Type"]
        for synthesised in (everything, templates("prod"))
        for template in synthesised.values()
        for resource in template["Resources"].values()
    }
    assert set(REQUESTS) <= kinds


def test_update_endpoint(model_stack):
    for properties in model_stack("AWS::SageMaker::Endpoint"):
        update = {k: v for k, v in properties.items() if k != "Tags"}
        assert check_request("sagemaker", "UpdateEndpoint", update) == []


def test_put_targets(stage):
    synthesised, resolver = stage
    for template in synthesised.values():
        for properties in resolver.resources(template, "AWS::Events::Rule"):
            targets = {"Rule": "generated", "Targets": properties["Targets"]}
            assert check_request("events", "PutTargets", targets) == []


def test_put_scaling_policy(templates):
    resolver = Resolver(templates("prod"))
    model = templates("prod")["Model"]
    [target] = resolver.resources(model, "AWS::ApplicationAutoScaling::ScalableTarget")
    policies = resolver.resources(model, "AWS::ApplicationAutoScaling::ScalingPolicy")
    assert policies
    of_target = {k: target[k] for k in ("ServiceNamespace", "ResourceId", "ScalableDimension")}
    for properties in policies:
        request = {k: v for k, v in properties.items() if k != "ScalingTargetId"} | of_target
        assert check_request("application-autoscaling", "PutScalingPolicy", request) == []


def test_create_budget(everything):
    resolver = Resolver(everything)
    [properties] = resolver.resources(everything["Operations"], "AWS::Budgets::Budget")
    budget = properties["Budget"]
    limit = {k: str(v) for k, v in budget["BudgetLimit"].items()}  # CloudFormation's number
    request = {
        "AccountId": "123456789012",
        "Budget": {**budget, "BudgetName": "generated", "BudgetLimit": limit},
        "NotificationsWithSubscribers": properties["NotificationsWithSubscribers"],
    }
    assert check_request("budgets", "CreateBudget", request) == []


def test_a_wait_is_required_of_every_kind_of_update(templates):
    """Optional in CloudFormation's schema, required by the API."""
    resolver = Resolver(templates("dev"))
    [endpoint] = resolver.resources(templates("dev")["Model"], "AWS::SageMaker::Endpoint")
    routing = endpoint["DeploymentConfig"]["BlueGreenUpdatePolicy"]["TrafficRoutingConfiguration"]
    assert routing["Type"] == "ALL_AT_ONCE"
    assert violations("AWS::SageMaker::Endpoint", endpoint) == []
    del routing["WaitIntervalInSeconds"]
    assert violations("AWS::SageMaker::Endpoint", endpoint) != []


def test_a_wrong_template_would_be_found(model_stack):
    """The Ref of a model is its ARN, but the configuration needs the name."""
    kind = "AWS::SageMaker::EndpointConfig"
    [properties, *_] = model_stack(kind)
    properties["ProductionVariants"][0]["ModelName"] = "arn:aws:sagemaker:us-east-1:1:model/x"
    assert violations(kind, properties) != []


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
