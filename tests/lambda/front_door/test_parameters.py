"""What the front door knows of its stage: environment variables and SSM parameters."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from front_door.aws import Aws
from front_door.environment import Environment, StageParameters
from rest.errors import ApiError
from tests.support.front_door import (
    DEPLOYMENT,
    ENVIRONMENT,
    Reply,
    event,
    running_aws,
)

DENIED = Reply.error(400, "AccessDeniedException", message="no")
MISSING = Reply.error(400, "ParameterNotFound", message="no")
SLOW = Reply(silent_seconds=3)


@pytest.fixture
def now():
    return [0.0]


@pytest.fixture(scope="module")
def fake():
    with running_aws() as fake:
        yield fake


@pytest.fixture
def ssm(fake):
    fake.ssm = type(fake.ssm)()
    return fake.ssm


@pytest.fixture
def parameters(ssm, now):
    return StageParameters(Environment.read(ENVIRONMENT), Aws(), clock=lambda: now[0])


def test_the_deployment_is_read_once_in_thirty_seconds(parameters, ssm, now):
    assert parameters.deployment().bake_id == "bake-1"
    ssm.deployed = json.dumps(DEPLOYMENT | {"bake_id": "bake-2"})
    now[0] = 29.9
    assert (parameters.deployment().bake_id, ssm.reads) == ("bake-1", 1)
    now[0] = 30
    assert (parameters.deployment().bake_id, ssm.reads) == ("bake-2", 2)


@pytest.mark.parametrize("failure", [DENIED, SLOW, "not JSON", '{"bake_id": "x"}'])
def test_a_stale_deployment_stays_in_use(parameters, ssm, now, failure):
    parameters.deployment()
    ssm.deployed = failure
    now[0] = 31
    assert parameters.deployment().bake_id == "bake-1"
    assert parameters.deployment().bake_id == "bake-1"
    assert ssm.reads == 2, "SSM is not asked at each request while it fails"


def test_a_deployment_never_read_is_unavailable_until_it_can_be(parameters, ssm):
    ssm.deployed = DENIED
    with pytest.raises(ApiError) as failed:
        parameters.deployment()
    assert (failed.value.code, failed.value.status) == ("model_unavailable", 503)
    ssm.deployed = json.dumps(DEPLOYMENT)
    assert parameters.deployment().bake_id == "bake-1"


@pytest.mark.parametrize("failure", [MISSING, Reply(hang_up=True)])
def test_while_the_switch_cannot_be_read_its_last_value_counts(parameters, ssm, now, failure):
    ssm.serving = failure
    assert not parameters.is_off(), "on, before anything is known"
    now[0] = 9.9
    ssm.serving = "off"
    assert not parameters.is_off(), "what was read ten seconds ago is fresh enough"
    now[0] = 10
    assert parameters.is_off()
    now[0], ssm.serving = 20, failure
    assert parameters.is_off()
    now[0], ssm.serving = 30, "on"
    assert not parameters.is_off()


def test_callers_get_503_while_the_deployment_is_unknown(door):
    door.aws.ssm.deployed = DENIED
    for path, method in [("/embed", "POST"), ("/endpoints", "GET"), ("/health", "GET")]:
        status, answer = door.call(event(path, {"texts": ["a"]}, method))
        assert (status, answer["code"]) == (503, "model_unavailable")
    assert door.aws.asked == []
    # These two ask the endpoints alone.
    door.aws.reply("faq-c6i", Reply(b'{"bake_id": "bake-1", "results": [[]]}'))
    assert door.call(event("/search", {"queries": ["a"]}))[0] == 200
    door.aws.reply("faq-c6i", Reply(b"[[]]"))
    assert door.call(event("/nearest", {"corpus": ["a"], "queries": ["a"]}))[0] == 200


def test_the_environment_is_read():
    environment = Environment.read(ENVIRONMENT)
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
        Environment.read(variables)
