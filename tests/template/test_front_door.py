"""The REST API: nothing open, every refusal in our JSON, times that fit into each other."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.template.synthesis import Templates, of_type, properties, statements


@pytest.fixture
def api(stage_templates: Templates) -> dict:
    return stage_templates["FrontDoor"]


def test_every_method_asks_who_calls(stage: str, api: dict) -> None:
    methods = properties(api, "AWS::ApiGateway::Method")
    assert len(methods) == 5
    for method in methods:
        if stage == "prod":
            assert method["AuthorizationType"] == "AWS_IAM"
        else:
            assert method["ApiKeyRequired"] is True


def test_the_key_has_a_plan_and_no_value_in_the_template(
    templates: Callable[[str], Templates],
) -> None:
    api = templates("dev")["FrontDoor"]
    (key,) = properties(api, "AWS::ApiGateway::ApiKey")
    assert "Value" not in key
    (plan,) = properties(api, "AWS::ApiGateway::UsagePlan")
    assert plan["Throttle"] == {"RateLimit": 20, "BurstLimit": 40}
    assert len(of_type(api, "AWS::ApiGateway::UsagePlanKey")) == 1
    assert not of_type(templates("prod")["FrontDoor"], "AWS::ApiGateway::ApiKey")


def test_every_post_has_its_request_model_and_a_validator(api: dict) -> None:
    models = of_type(api, "AWS::ApiGateway::Model")
    posts = [m for m in properties(api, "AWS::ApiGateway::Method") if m["HttpMethod"] == "POST"]
    assert {m["RequestModels"]["application/json"]["Ref"] for m in posts} == set(models)
    assert len(models) == 3
    assert all(m["RequestValidatorId"] for m in posts)
    for model in models.values():
        assert model["Properties"]["Schema"]["additionalProperties"] is False


def test_the_deployment_waits_for_the_models(api: dict) -> None:
    (deployment,) = of_type(api, "AWS::ApiGateway::Deployment").values()
    assert set(of_type(api, "AWS::ApiGateway::Model")) <= set(deployment["DependsOn"])
    assert set(of_type(api, "AWS::ApiGateway::Method")) <= set(deployment["DependsOn"])


def test_every_refusal_is_our_json(api: dict) -> None:
    responses = properties(api, "AWS::ApiGateway::GatewayResponse")
    assert {"DEFAULT_4XX", "DEFAULT_5XX"} <= {r["ResponseType"] for r in responses}
    for response in responses:
        text = response["ResponseTemplates"]["application/json"]
        # As the gateway fills it in: a JSON string, and an escaped one.
        filled = (
            text.replace("$context.error.messageString", '"No."')
            .replace("$context.error.validationErrorString", "[no]")
            .replace("$context.requestId", "1")
        )
        answer = json.loads(filled)
        assert set(answer) == {"code", "message", "request_id"}
        assert answer["code"] and answer["message"]


def test_the_function_ends_before_the_gateway_gives_up(api: dict) -> None:
    (function,) = properties(api, "AWS::Lambda::Function")
    budget = float(function["Environment"]["Variables"]["TIME_BUDGET_SECONDS"])
    timeouts = {
        m["Integration"]["TimeoutInMillis"] for m in properties(api, "AWS::ApiGateway::Method")
    }
    assert timeouts == {29_000}
    assert budget < function["Timeout"] < 29


def test_the_stage_logs_traces_and_throttles(api: dict) -> None:
    (stage,) = properties(api, "AWS::ApiGateway::Stage")
    assert stage["TracingEnabled"] is True
    assert stage["AccessLogSetting"]["DestinationArn"]
    (settings,) = stage["MethodSettings"]
    assert settings["DataTraceEnabled"] is False  # it would log the callers' texts
    assert settings["ThrottlingRateLimit"] > 0
    json.loads(stage["AccessLogSetting"]["Format"])


def test_the_function_may_invoke_the_endpoints_and_read_one_parameter(
    stage: str, api: dict
) -> None:
    allowed = {
        action: json.dumps(statement["Resource"])
        for name, statement in statements(api)
        if name.startswith("Function")
        for action in (
            [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
        )
    }
    assert set(allowed) == {
        "sagemaker:InvokeEndpoint",
        "ssm:GetParameter",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "xray:PutTraceSegments",
        "xray:PutTelemetryRecords",
    }
    assert f"endpoint/faq-search-{stage}-" in allowed["sagemaker:InvokeEndpoint"]
    assert "*" not in allowed["sagemaker:InvokeEndpoint"]
    assert "*" not in allowed["ssm:GetParameter"]


def test_no_function_knows_the_corpus(api: dict) -> None:
    """Its environment would change, and with it the function, for every new corpus."""
    (function,) = properties(api, "AWS::Lambda::Function")
    assert not {k for k in function["Environment"]["Variables"] if "CORPUS" in k or "BAKE" in k}


def test_the_accounts_log_role_is_kept(api: dict) -> None:
    (account,) = of_type(api, "AWS::ApiGateway::Account").values()
    assert account["DeletionPolicy"] == "Retain"


@pytest.mark.parametrize("output", ["ApiUrl", "ApiAuth"])
def test_outputs_have_the_names_that_people_look_for(api: dict, output: str) -> None:
    assert output in api["Outputs"]
