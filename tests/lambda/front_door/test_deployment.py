"""What the front door knows of its deployment: environment and SSM parameter."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from rest.errors import ApiError
from tests.support.front_door import (
    DEPLOYMENT,
    ENVIRONMENT,
    FakeSsm,
    Reply,
    event,
    front_door,
    module,
)

DENIED = module("aws_calls").RefusedError("AccessDeniedException", 400, {"message": "no"})
SLOW = module("aws_calls").TimedOutError("timed out")


@pytest.fixture
def now():
    return [0.0]


@pytest.fixture
def ssm():
    return FakeSsm()


@pytest.fixture
def parameter(ssm, now):
    return module("deployment").DeploymentParameter(
        ENVIRONMENT["DEPLOYMENT_PARAMETER"], ssm, clock=lambda: now[0]
    )


def test_it_is_read_once_in_thirty_seconds(parameter, ssm, now):
    assert parameter.get().bake_id == "bake-1"
    ssm.deployed = json.dumps(DEPLOYMENT | {"bake_id": "bake-2"})
    now[0] = 29.9
    assert (parameter.get().bake_id, ssm.reads) == ("bake-1", 1)
    now[0] = 30
    assert (parameter.get().bake_id, ssm.reads) == ("bake-2", 2)


@pytest.mark.parametrize("failure", [DENIED, SLOW, "not JSON", '{"bake_id": "x"}'])
def test_a_stale_value_stays_in_use(parameter, ssm, now, failure):
    parameter.get()
    ssm.deployed = failure
    now[0] = 31
    assert parameter.get().bake_id == "bake-1"
    assert parameter.get().bake_id == "bake-1"
    assert ssm.reads == 2, "SSM is not asked at each request while it fails"


def test_never_read_is_unavailable_until_it_can_be(parameter, ssm):
    ssm.deployed = DENIED
    with pytest.raises(ApiError) as failed:
        parameter.get()
    assert (failed.value.code, failed.value.status) == ("model_unavailable", 503)
    ssm.deployed = json.dumps(DEPLOYMENT)
    assert parameter.get().bake_id == "bake-1"


def test_callers_get_503_while_the_deployment_is_unknown():
    with front_door() as door:
        door.ssm.deployed = DENIED
        for path, method in [("/embed", "POST"), ("/endpoints", "GET"), ("/health", "GET")]:
            status, answer = door.call(event(path, {"texts": ["a"]}, method))
            assert (status, answer["code"]) == (503, "model_unavailable")
        assert door.sagemaker.asked == []
        # These two ask the endpoints alone.
        door.sagemaker.reply("faq-c6i", Reply(b'{"bake_id": "bake-1", "results": [[]]}'))
        assert door.call(event("/search", {"queries": ["a"]}))[0] == 200
        door.sagemaker.reply("faq-c6i", Reply(b"[[]]"))
        assert door.call(event("/nearest", {"corpus": ["a"], "queries": ["a"]}))[0] == 200


def test_the_environment_is_read(monkeypatch):
    environment = module("environment").Environment.read(ENVIRONMENT)
    assert [e.instance_type for e in environment.endpoints] == ["ml.c6i.xlarge", "ml.g5.2xlarge"]
    assert environment.time_budget_seconds == 26


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("APP_STAGE", ""),
        ("ENDPOINTS", None),
        ("ENDPOINTS", "[]"),
        ("ENDPOINTS", "ml.c6i.xlarge"),
        ("ENDPOINTS", '[{"instance_type": "ml.c6i.xlarge"}]'),
        ("DEPLOYMENT_PARAMETER", None),
        ("SERVING_PARAMETER", None),
        ("MIN_SCORE", None),
        ("MIN_SCORE", "2"),
        ("TIME_BUDGET_SECONDS", "29"),
        ("TIME_BUDGET_SECONDS", "soon"),
    ],
)
def test_a_wrong_environment_fails_the_cold_start(name, value):
    variables = {key: text for key, text in ENVIRONMENT.items() if key != name}
    if value is not None:
        variables[name] = value
    with pytest.raises(ValidationError, match=name):
        module("environment").Environment.read(variables)
