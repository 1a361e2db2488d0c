"""The function behind the batch routes: its settings and its permissions."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from contract.batch_objects import (
    INPUT_PREFIX,
    OUTPUT_PREFIX,
    REQUESTS_PREFIX,
    SLOTS_PREFIX,
    UPLOADS_PREFIX,
)
from contract.names import Names
from stacks.front_door.stack import FrontDoorStack
from stage.settings import load_settings
from tests.support.synthesis import (
    Templates,
    arn_ends,
    changed,
    listed,
    of_type,
    properties,
    some_templates_of,
    statements,
)

ROLE = "BatchFunctionRole"
WRITTEN = {f"/{UPLOADS_PREFIX}*", f"/{REQUESTS_PREFIX}*"}


def variables(api: dict[str, Any]) -> dict[str, Any]:
    functions = properties(api, "AWS::Lambda::Function")
    each = (function.get("Environment", {}).get("Variables", {}) for function in functions)
    (found,) = (variables for variables in each if "BATCH_BUCKET" in variables)
    return found


def test_its_settings(stage: str, api: dict[str, Any]) -> None:
    settings, found = load_settings(stage).batch, variables(api)
    assert found["APP_STAGE"] == stage
    assert "StorageBatch" in found["BATCH_BUCKET"]["Fn::ImportValue"]
    assert found["TRANSFORM_JOB_PREFIX"] == Names(stage).prefix
    assert found["STATE_MACHINE_ARN"]["Fn::Join"][1][-1].endswith(
        f":stateMachine:{Names(stage).batch_workflow}"
    )
    assert int(found["INSTANCE_COUNT"]) == settings.instance_count
    assert int(found["MAX_INSTANCE_COUNT"]) == settings.max_instance_count
    assert json.loads(found["INPUT_LOCATIONS"]) == []
    assert int(found["MAX_RUNNING"]) == settings.max_running
    assert int(found["MAX_RUNNING_PER_CALLER"]) == settings.max_running_per_caller
    assert int(found["MAX_INSTANCES"]) == settings.most_instances
    assert int(found["MAX_INSTANCES_PER_CALLER"]) == settings.most_instances_per_caller
    assert (found["CALLERS"], found["ADMINISTRATORS"]) == ("[]", "[]")


@pytest.mark.parametrize("auth", ["api_key", "iam", "jwt"])
def test_it_learns_who_calls(auth: str) -> None:
    named = {"api_key": "second", "iam": "arn:aws:iam::1" + "0" * 11 + ":role/x", "jwt": "faq/all"}
    jwt = {"issuer": "https://issuer.example", "audience": ["faq"]}
    settings = changed(
        "dev",
        api={"auth": auth, "jwt": jwt, "api_keys": ["first", "second.b"]},
        batch={"callers": [named[auth]], "administrators": [named[auth]]},
    )
    api = some_templates_of(settings, FrontDoorStack)["FrontDoor"]
    found = variables(api)
    assert found["API_AUTH"] == auth
    assert json.loads(found["CALLERS"]) == json.loads(found["ADMINISTRATORS"]) == [named[auth]]
    if auth == "api_key":
        text = "".join(
            p if isinstance(p, str) else p["Ref"] for p in found["API_KEYS"]["Fn::Join"][1]
        )
        keys = of_type(api, "AWS::ApiGateway::ApiKey")
        assert json.loads(text).keys() == {"first", "second.b"}
        assert set(json.loads(text).values()) == set(keys)
    else:
        assert "API_KEYS" not in found
    passed_on = [
        function["Environment"]["Variables"].get("PASSED_SCOPES")
        for function in properties(api, "AWS::Lambda::Function")
        if "ISSUER" in function.get("Environment", {}).get("Variables", {})
    ]
    assert passed_on == (['["faq/all", "faq/all"]'] if auth == "jwt" else [])


def test_what_it_may_do(stage: str, api: dict[str, Any]) -> None:
    allowed = {
        action
        for name, statement in statements(api)
        if name.startswith(ROLE)
        for action in listed(statement["Action"])
    }
    assert allowed == {
        "kms:Decrypt",
        "kms:GenerateDataKey",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "s3:DeleteObject",
        "s3:GetObject",
        "s3:ListBucket",
        "s3:PutObject",
        "sagemaker:DescribeTransformJob",
        "sagemaker:StopTransformJob",
        "states:DescribeExecution",
        "states:StartExecution",
        "states:StopExecution",
        "xray:PutTelemetryRecords",
        "xray:PutTraceSegments",
    }
    assert arn_ends(api, ROLE, "s3:PutObject") == WRITTEN
    assert arn_ends(api, ROLE, "s3:DeleteObject") == {f"/{SLOTS_PREFIX}*"}
    assert arn_ends(api, ROLE, "s3:GetObject") == {
        f"/{prefix}*" for prefix in (INPUT_PREFIX, OUTPUT_PREFIX, REQUESTS_PREFIX)
    }
    (jobs,) = arn_ends(api, ROLE, "sagemaker:StopTransformJob")
    assert jobs.endswith(f":transform-job/{Names(stage).prefix}-*")
    (machine,) = arn_ends(api, ROLE, "states:StartExecution")
    assert machine.endswith(f":stateMachine:{Names(stage).batch_workflow}")
    (executions,) = arn_ends(api, ROLE, "states:StopExecution")
    assert executions.endswith(f":execution:{Names(stage).batch_workflow}:*")


def test_it_may_read_where_the_settings_let_callers_name_files(
    templates: Callable[[str], Templates],
) -> None:
    locations = ["s3://theirs/texts/", "s3://whole/"]
    settings = changed("dev", batch={"input_locations": locations})
    api = some_templates_of(settings, FrontDoorStack)["FrontDoor"]
    assert json.loads(variables(api)["INPUT_LOCATIONS"]) == locations
    added = arn_ends(api, ROLE, "s3:GetObject") - arn_ends(
        templates("dev")["FrontDoor"], ROLE, "s3:GetObject"
    )
    assert added == {"arn:aws:s3:::theirs/texts/*", "arn:aws:s3:::whole/*"}
    assert arn_ends(api, ROLE, "s3:PutObject") == WRITTEN
