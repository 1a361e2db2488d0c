"""The batch workflow, the function behind it, what starts it, and its alarms."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from batch.steps.environment import Environment
from contract.batch_objects import INPUT_PREFIX, OUTPUT_PREFIX, REQUESTS_PREFIX, SHARDS_PREFIX
from contract.names import APP_NAME, Names
from stacks.batch.stack import BatchStack
from stage.settings import Settings
from tests.support.synthesis import (
    ROOT,
    Templates,
    arn_ends,
    changed,
    grant,
    listed,
    of_type,
    properties,
    some_templates_of,
    statements,
)

FUNCTION = "StepsFunctionRole"
WORKFLOW = "WorkflowRole"
INPUT, REQUESTS, SHARDS, OUTPUT = (
    f"/{prefix}*" for prefix in (INPUT_PREFIX, REQUESTS_PREFIX, SHARDS_PREFIX, OUTPUT_PREFIX)
)
DEFINITION = ROOT / "stacks/batch/workflow.asl.json"


@pytest.fixture
def batch(stage_templates: Templates) -> dict[str, Any]:
    return stage_templates["Batch"]


def _environment(template: dict[str, Any]) -> dict[str, Any]:
    (function,) = properties(template, "AWS::Lambda::Function")
    found: dict[str, Any] = function["Environment"]["Variables"]
    return found


def _with_batch(**changes: Any) -> dict[str, Any]:
    """The Batch template of stage dev with other settings of [batch]."""
    return some_templates_of(changed("dev", batch=changes), BatchStack)["Batch"]


def test_the_workflow_is_the_tested_one_under_a_fixed_name(
    stage: str, batch: dict[str, Any]
) -> None:
    (machine,) = properties(batch, "AWS::StepFunctions::StateMachine")
    assert machine["StateMachineName"] == Names(stage).batch_workflow
    deployed = "".join(
        part if isinstance(part, str) else "arn:…" for part in _parts(machine["DefinitionString"])
    )
    (function,) = of_type(batch, "AWS::Lambda::Function")
    assert machine["DefinitionSubstitutions"] == {
        "BatchStepsArn": {"Fn::GetAtt": [function, "Arn"]}
    }
    expected = DEFINITION.read_text(encoding="utf-8").replace("${Partition}", "aws")
    assert json.loads(deployed) == json.loads(expected)
    assert machine["LoggingConfiguration"]["Level"] == "ALL"
    assert machine["LoggingConfiguration"]["IncludeExecutionData"] is False


def _parts(value: Any) -> list[Any]:
    return value["Fn::Join"][1] if isinstance(value, dict) else [value]


def test_every_step_that_may_fail_is_caught() -> None:
    states = json.loads(DEFINITION.read_text(encoding="utf-8"))["States"]
    for name, state in states.items():
        if state["Type"] == "Task":
            assert state["Retry"], name
            assert "States.ALL" in state["Catch"][-1]["ErrorEquals"], name


def test_each_round_of_waiting_fits_the_history_of_an_execution() -> None:
    """Prepare chooses the wait for 2,000 rounds. A state adds two events, a call three more."""
    states = json.loads(DEFINITION.read_text(encoding="utf-8"))["States"]
    round_, name = [], "Wait"
    while name not in round_:
        round_.append(name)
        name = states[name].get("Next") or states[name]["Default"]
    events = sum(5 if states[name]["Type"] == "Task" else 2 for name in round_)
    assert events * 2000 < 25_000


def test_the_workflow_may_run_jobs_of_this_stage_and_nothing_else(
    stage: str, batch: dict[str, Any]
) -> None:
    (function,) = of_type(batch, "AWS::Lambda::Function")
    jobs = grant(batch, WORKFLOW, "sagemaker:CreateTransformJob")
    assert set(jobs["Action"]) == {
        "sagemaker:AddTags",
        "sagemaker:CreateTransformJob",
        "sagemaker:DescribeTransformJob",
    }
    ends = arn_ends(batch, WORKFLOW, "sagemaker:CreateTransformJob")
    assert ends == {f":transform-job/{Names(stage).prefix}-*"}
    invoked = grant(batch, WORKFLOW, "lambda:InvokeFunction")["Resource"]
    assert invoked == {"Fn::GetAtt": [function, "Arn"]}
    allowed = [
        action
        for name, statement in statements(batch)
        if name.startswith(WORKFLOW) and statement["Resource"] != "*"
        for action in listed(statement["Action"])
    ]
    assert len(allowed) == 4


def test_the_function_reads_what_users_put_and_writes_elsewhere(batch: dict[str, Any]) -> None:
    reading = {
        end
        for owner, statement in statements(batch)
        if owner.startswith(FUNCTION) and "s3:GetObject" in listed(statement["Action"])
        for end in (arn["Fn::Join"][1][-1] for arn in listed(statement["Resource"]))
    }
    assert reading == {REQUESTS, OUTPUT}
    assert arn_ends(batch, FUNCTION, "s3:GetObjectVersion") == {INPUT}
    assert arn_ends(batch, FUNCTION, "s3:PutObject") == {SHARDS, OUTPUT}
    assert arn_ends(batch, FUNCTION, "s3:AbortMultipartUpload") == {SHARDS, OUTPUT}
    assert arn_ends(batch, FUNCTION, "s3:ListMultipartUploadParts") == {OUTPUT}
    (bucket,) = listed(grant(batch, FUNCTION, "s3:ListBucket")["Resource"])
    assert "StorageBatch" in bucket["Fn::ImportValue"]
    for _, statement in statements(batch):
        for action in listed(statement["Action"]):
            assert not action.startswith("s3:Delete")


def test_the_function_reaches_its_own_workflow_jobs_and_parameters(
    stage: str, batch: dict[str, Any]
) -> None:
    names = Names(stage)
    workflow, jobs = names.batch_workflow, f"{names.prefix}-*"
    assert arn_ends(batch, FUNCTION, "states:StartExecution") == {f":stateMachine:{workflow}"}
    assert arn_ends(batch, FUNCTION, "states:DescribeExecution") == {f":execution:{workflow}:*"}
    assert arn_ends(batch, FUNCTION, "sagemaker:StopTransformJob") == {f":transform-job/{jobs}"}
    variables = _environment(batch)
    assert arn_ends(batch, FUNCTION, "ssm:GetParameter") == {
        f":parameter{variables[v]}" for v in ("DEPLOYMENT_PARAMETER", "MODEL_NAME_PARAMETER")
    }


def test_the_function_reads_parameters_that_the_model_stack_writes(
    stage_templates: Templates,
) -> None:
    written = {p["Name"] for p in properties(stage_templates["Model"], "AWS::SSM::Parameter")}
    variables = _environment(stage_templates["Batch"])
    assert {variables["DEPLOYMENT_PARAMETER"], variables["MODEL_NAME_PARAMETER"]} <= written


def test_the_function_has_a_whole_cpu_and_the_longest_timeout(batch: dict[str, Any]) -> None:
    (function,) = properties(batch, "AWS::Lambda::Function")
    assert (function["MemorySize"], function["Timeout"]) == (1769, 900)


def test_the_function_gets_the_variables_that_it_reads(batch: dict[str, Any]) -> None:
    variables = {
        name: value if isinstance(value, str) else "a reference"
        for name, value in _environment(batch).items()
    }
    Environment.read(variables)
    for name in variables:
        with pytest.raises(KeyError, match=name):
            Environment.read({k: v for k, v in variables.items() if k != name})


@pytest.mark.parametrize(
    ("instance_type", "gpu", "has_key", "ami"),
    [
        ("ml.c6i.xlarge", False, True, ""),
        ("ml.g5.2xlarge", True, False, "al2-ami-sagemaker-batch-gpu-535"),
        ("ml.g4dn.2xlarge", True, False, "al2-ami-sagemaker-batch-gpu-535"),
    ],
)
def test_disks_and_drivers_by_instance_family(
    instance_type: str, gpu: bool, has_key: bool, ami: str
) -> None:
    variables = _environment(_with_batch(instance_type=instance_type))
    assert variables["INSTANCE_TYPE"] == instance_type
    assert variables["MODEL_NAME_PARAMETER"] == Names("dev").model_name_parameter(gpu=gpu)
    assert bool(variables["VOLUME_KMS_KEY_ID"]) is has_key
    assert variables["VOLUME_KMS_KEY_ID"] in ("", variables["KMS_KEY_ARN"])
    assert variables["TRANSFORM_AMI_VERSION"] == ami


def test_jobs_have_the_stages_tags_count_and_price(
    settings: Settings, batch: dict[str, Any]
) -> None:
    variables = _environment(batch)
    assert json.loads(variables["TAGS"]) == {
        "application": APP_NAME,
        "stage": settings.stage,
        **settings.tags,
    }
    assert variables["INSTANCE_COUNT"] == str(settings.batch.instance_count)
    price = json.loads(variables["PRICE"])
    assert set(price) == {"per_hour", "currency", "as_of"}
    assert price["per_hour"] > 0


def test_a_price_in_the_settings_takes_precedence_over_the_table() -> None:
    settings = changed("dev", prices={"ml.c6i.xlarge": 9.5})
    variables = _environment(some_templates_of(settings, BatchStack)["Batch"])
    assert json.loads(variables["PRICE"])["per_hour"] == 9.5


def test_only_a_file_below_input_starts_a_batch(batch: dict[str, Any]) -> None:
    pattern = _rule(batch, "FilePut")["EventPattern"]
    assert (pattern["source"], pattern["detail-type"]) == (["aws.s3"], ["Object Created"])
    (name,) = pattern["detail"]["bucket"]["name"]
    assert "StorageBatch" in name["Fn::ImportValue"]
    # Files that the workflow itself writes must start nothing.
    assert pattern["detail"]["object"] == {"key": [{"prefix": INPUT_PREFIX}]}


def test_a_broken_execution_of_this_workflow_is_reported(batch: dict[str, Any]) -> None:
    (machine,) = of_type(batch, "AWS::StepFunctions::StateMachine")
    pattern = _rule(batch, "BrokenExecution")["EventPattern"]
    assert pattern["detail"] == {
        "stateMachineArn": [{"Ref": machine}],
        "status": ["FAILED", "TIMED_OUT", "ABORTED"],
    }


def test_both_rules_may_call_the_function(batch: dict[str, Any]) -> None:
    (function,) = of_type(batch, "AWS::Lambda::Function")
    rules = of_type(batch, "AWS::Events::Rule")
    for rule in rules.values():
        targets = [target["Arn"] for target in rule["Properties"]["Targets"]]
        assert targets == [{"Fn::GetAtt": [function, "Arn"]}]
    permitted = {
        permission["SourceArn"]["Fn::GetAtt"][0]
        for permission in properties(batch, "AWS::Lambda::Permission")
        if permission["Principal"] == "events.amazonaws.com"
    }
    assert permitted == set(rules)


def _rule(template: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = (
        rule["Properties"]
        for id_, rule in of_type(template, "AWS::Events::Rule").items()
        if id_.startswith(f"Workflow{name}")
    )
    assert found["State"] == "ENABLED"
    return found  # type: ignore[no-any-return]


def test_alarms_watch_for_the_first_failure(batch: dict[str, Any]) -> None:
    alarms = properties(batch, "AWS::CloudWatch::Alarm")
    assert {(a["Namespace"], a["MetricName"]) for a in alarms} == {
        ("AWS/States", "ExecutionsFailed"),
        ("AWS/States", "ExecutionsTimedOut"),
        ("AWS/Lambda", "AsyncEventsDropped"),
    }
    (machine,) = of_type(batch, "AWS::StepFunctions::StateMachine")
    (function,) = of_type(batch, "AWS::Lambda::Function")
    for alarm in alarms:
        assert (alarm["Threshold"], alarm["EvaluationPeriods"], alarm["Statistic"]) == (0, 1, "Sum")
        (dimension,) = alarm["Dimensions"]
        assert dimension["Value"] == {
            "Ref": machine if alarm["Namespace"] == "AWS/States" else function
        }


def test_only_this_function_may_read_other_locations(
    templates: Callable[[str], Templates],
) -> None:
    locations = ["s3://theirs/faq/", "s3://all-of-it/"]
    before, after = templates("dev")["Batch"], _with_batch(input_locations=locations)
    read = {"arn:aws:s3:::theirs/faq/*", "arn:aws:s3:::all-of-it/*"}
    assert arn_ends(after, FUNCTION, "s3:GetObjectVersion") == {INPUT, *read}
    assert arn_ends(after, FUNCTION, "s3:GetObject") == {REQUESTS, OUTPUT, *read}
    (differing,) = (
        name
        for name, resource in after["Resources"].items()
        if resource != before["Resources"].get(name)
    )
    assert differing.startswith(f"{FUNCTION}DefaultPolicy")
