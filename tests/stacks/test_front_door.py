"""The REST API: nothing open, every refusal in our JSON, times that fit into each other."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from botocore.model import ServiceModel
from botocore.session import Session

from contract.names import Names
from contract.outputs import API_AUTH, API_URL
from stacks.front_door import rest_api
from stacks.front_door.stack import FrontDoorStack
from stage.capacity import max_tokens
from stage.prices import prices_for
from stage.settings import Settings, load_settings
from tests.support.synthesis import (
    ROOT,
    Stacks,
    Templates,
    changed,
    grant,
    listed,
    of_type,
    properties,
    some_templates_of,
    statements,
    with_everything,
)

KEY = "AWS::KMS::Key"
AUTHORIZER, FUNCTION = "AWS::ApiGateway::Authorizer", "AWS::Lambda::Function"
KEY_HANDLER = "authorizer.api_key.handler"

STATUSES = {
    "DEFAULT_4XX": None,  # the gateway's own
    "DEFAULT_5XX": None,
    "ACCESS_DENIED": "403",
    "API_CONFIGURATION_ERROR": "500",
    "AUTHORIZER_CONFIGURATION_ERROR": "500",
    "AUTHORIZER_FAILURE": "500",
    "EXPIRED_TOKEN": "403",
    "INTEGRATION_FAILURE": "502",
    "INTEGRATION_TIMEOUT": "504",
    "INVALID_API_KEY": "403",
    "INVALID_SIGNATURE": "403",
    "QUOTA_EXCEEDED": "429",
    "REQUEST_TOO_LARGE": "413",
    "RESOURCE_NOT_FOUND": "404",
    "THROTTLED": "429",
    "UNAUTHORIZED": "401",
    "UNSUPPORTED_MEDIA_TYPE": "415",
}


@pytest.fixture
def function(api: dict) -> dict:
    """The one that asks the endpoints."""
    (found,) = (f for f in properties(api, "AWS::Lambda::Function") if "ENDPOINTS" in variables(f))
    return found


def variables(function: dict) -> dict:
    found: dict = function.get("Environment", {}).get("Variables", {})
    return found


def test_the_api_is_regional(api: dict) -> None:
    """Callers are programs, mostly of the same region; signatures name it."""
    (resource,) = properties(api, "AWS::ApiGateway::RestApi")
    assert resource["EndpointConfiguration"]["Types"] == ["REGIONAL"]


def test_the_api_speaks_no_tls_below_1_2(api: dict) -> None:
    """Without a policy, a regional API accepts TLS 1.0."""
    (resource,) = properties(api, "AWS::ApiGateway::RestApi")
    policy = resource["SecurityPolicy"]
    members = ServiceModel(
        Session().get_data("apigateway/2015-07-09/service-2"), "apigateway"
    ).shape_for("SecurityPolicy")
    assert policy in members.enum
    assert policy.startswith("SecurityPolicy_TLS13_1_2_")  # 1.2 and 1.3
    # API Gateway demands it with such a policy.
    assert resource["EndpointAccessMode"] in {"BASIC", "STRICT"}


def test_the_methods_are_the_documented_operations(settings: Settings, api: dict) -> None:
    paths = json.loads((ROOT / "docs/openapi.json").read_text())["paths"]
    documented = {
        (path, verb.upper(), operation["x-function"])
        for path, operations in paths.items()
        for verb, operation in operations.items()
        if settings.api.auth in operation.get("x-auth", [settings.api.auth])
    }
    # OpenAI's clients cannot sign.
    assert (("/embeddings", "POST", "front_door") in documented) == (settings.api.auth != "iam")
    assert {
        (path_of(api, m["ResourceId"]), m["HttpMethod"], function_of(api, m)) for m in methods(api)
    } == documented


def methods(api: dict) -> list[dict]:
    """All but those of the console; see test_console.py."""
    return [
        method
        for method in properties(api, "AWS::ApiGateway::Method")
        if not path_of(api, method["ResourceId"]).startswith("/console")
    ]


def path_of(api: dict, resource: dict) -> str:
    if "Ref" not in resource:
        return ""  # the root
    found = api["Resources"][resource["Ref"]]["Properties"]
    return f"{path_of(api, found['ParentId'])}/{found['PathPart']}"


def function_of(api: dict, method: dict) -> str:
    """The package of the function whose alias a method is integrated with, by its handler."""
    assert method["Integration"]["Type"] == "AWS_PROXY"
    (alias,) = (
        part["Ref"]
        for part in method["Integration"]["Uri"]["Fn::Join"][1]
        if isinstance(part, dict) and part["Ref"] in of_type(api, "AWS::Lambda::Alias")
    )
    function = api["Resources"][alias]["Properties"]["FunctionName"]["Ref"]
    handler: str = api["Resources"][function]["Properties"]["Handler"]
    return handler.partition(".")[0]


def test_the_api_may_call_the_functions_by_their_aliases_alone(api: dict) -> None:
    names = [each["FunctionName"]["Ref"] for each in properties(api, "AWS::Lambda::Permission")]
    assert set(names) == set(of_type(api, "AWS::Lambda::Alias"))


def test_an_alias_means_the_version_and_a_replaced_version_goes(api: dict) -> None:
    versions = of_type(api, "AWS::Lambda::Version")
    aliases = properties(api, "AWS::Lambda::Alias")
    assert {each["FunctionVersion"]["Fn::GetAtt"][0] for each in aliases} == set(versions)
    for version in versions.values():
        assert version["DeletionPolicy"] == version["UpdateReplacePolicy"] == "Delete"


def test_prod_alone_starts_from_snapshots(stage: str, api: dict) -> None:
    """Only what is published may: an unpublished function ignores the setting."""
    aliases = properties(api, "AWS::Lambda::Alias")
    for alias in aliases:
        function = api["Resources"][alias["FunctionName"]["Ref"]]["Properties"]
        has_layer = "Layers" in function  # the others import next to nothing
        assert ("SnapStart" in function) == (stage == "prod" and has_layer)


def test_snapshots_may_be_turned_on_without_a_change_of_the_api(
    templates: Callable[[str], Templates],
) -> None:
    off = templates("dev")["FrontDoor"]["Resources"]
    settings = changed("dev", api={"snap_start": True})
    on = some_templates_of(settings, FrontDoorStack)["FrontDoor"]["Resources"]
    differing = {name for name in {**off, **on} if off.get(name) != on.get(name)}
    assert {(on.get(name) or off[name])["Type"] for name in differing} == {
        "AWS::Lambda::Function",
        "AWS::Lambda::Version",
        "AWS::Lambda::Alias",
    }
    for name, before in off.items():
        if name in differing and before["Type"] == "AWS::Lambda::Alias":
            version = {"FunctionVersion": on[name]["Properties"]["FunctionVersion"]}
            assert on[name] == {**before, "Properties": {**before["Properties"], **version}}


def test_every_method_asks_who_calls(stage: str, api: dict) -> None:
    for method in methods(api):
        if stage == "prod":
            assert method["AuthorizationType"] == "AWS_IAM"
        else:
            assert method["AuthorizationType"] == "CUSTOM"
            assert method["ApiKeyRequired"] is True
            (authorizer,) = of_type(api, AUTHORIZER)
            assert method["AuthorizerId"] == {"Ref": authorizer}


def test_keys_come_from_the_authorizer_which_is_asked_each_time(
    templates: Callable[[str], Templates],
) -> None:
    """A removed key ends at once, and a key in either of two headers is no identity source."""
    api = templates("dev")["FrontDoor"]
    (resource,) = properties(api, "AWS::ApiGateway::RestApi")
    assert resource["ApiKeySourceType"] == "AUTHORIZER"
    (authorizer,) = properties(api, AUTHORIZER)
    assert (authorizer["Type"], authorizer["AuthorizerResultTtlInSeconds"]) == ("REQUEST", 0)
    assert "IdentitySource" not in authorizer
    (function,) = (f for f in properties(api, FUNCTION) if f["Handler"] == KEY_HANDLER)
    assert "Layers" not in function


def test_signed_requests_have_no_authorizer(templates: Callable[[str], Templates]) -> None:
    api = templates("prod")["FrontDoor"]
    assert not properties(api, AUTHORIZER)
    assert "ApiKeySourceType" not in properties(api, "AWS::ApiGateway::RestApi")[0]


class TestTokens:
    """With `api.auth = "jwt"`."""

    @pytest.fixture(scope="class")
    @classmethod
    def api(cls) -> dict:
        return some_templates_of(with_everything("prod"), FrontDoorStack)["FrontDoor"]

    def test_every_method_needs_a_token_and_no_key(self, api: dict) -> None:
        (authorizer,) = of_type(api, AUTHORIZER)
        for method in properties(api, "AWS::ApiGateway::Method"):
            assert method["AuthorizationType"] == "CUSTOM"
            assert method["AuthorizerId"] == {"Ref": authorizer}
            assert method["ApiKeyRequired"] is False
        assert not properties(api, "AWS::ApiGateway::ApiKey")
        assert not properties(api, "AWS::ApiGateway::UsagePlan")
        assert {"/embeddings", "/models/{model}", "/batch/{batch_id}"} <= {
            path_of(api, m["ResourceId"]) for m in properties(api, "AWS::ApiGateway::Method")
        }

    @pytest.mark.parametrize(
        ("header", "asks"),
        [
            ("Bearer e30.e30.c2ln", True),
            ("bearer e30.e30.a-_", True),
            ("Bearer e30.e30.", False),
            ("Bearer e30.e30", False),
            ("Bearer x.y.z extra", False),
            ("Basic e30.e30.c2ln", False),
        ],
    )
    def test_only_what_looks_like_a_token_is_checked(
        self, api: dict, header: str, asks: bool
    ) -> None:
        (authorizer,) = properties(api, AUTHORIZER)
        assert authorizer["Type"] == "TOKEN"
        assert authorizer["AuthorizerResultTtlInSeconds"] == 0
        assert authorizer["IdentitySource"] == "method.request.header.Authorization"
        pattern = authorizer["IdentityValidationExpression"]
        assert bool(re.fullmatch(pattern, header)) == asks

    def test_the_function_knows_the_issuer(self, api: dict) -> None:
        (function,) = (
            f for f in properties(api, FUNCTION) if f["Handler"] == "authorizer.token.handler"
        )
        found = variables(function)
        assert found["ISSUER"] == "https://issuer.example/pool"
        assert json.loads(found["AUDIENCES"]) == ["faq-search"]
        assert json.loads(found["SCOPES"]) == ["faq/ask"]
        (key,) = json.loads(found["JWKS"])
        assert key == {"kty": "RSA", "kid": "1", "n": "AQAB", "e": "AQAB"}
        (layer,) = function["Layers"]
        packages = api["Resources"][layer["Ref"]]["Properties"]["Description"]
        assert "joserfc" in packages


def test_the_deployment_waits_for_what_it_copies(api: dict) -> None:
    (deployment,) = of_type(api, "AWS::ApiGateway::Deployment").values()
    permissions = of_type(api, "AWS::Lambda::Permission")
    assert set(permissions) <= set(deployment["DependsOn"])
    for kind in ("Method", "GatewayResponse"):
        assert set(of_type(api, f"AWS::ApiGateway::{kind}")) <= set(deployment["DependsOn"])


def test_a_changed_refusal_makes_another_deployment(
    templates: Callable[[str], Templates], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stage shows what its deployment has copied."""
    (before,) = of_type(templates("dev")["FrontDoor"], "AWS::ApiGateway::Deployment")
    monkeypatch.setitem(rest_api._REFUSALS, "THROTTLED", ("429", "throttled", "Wait a moment."))
    changed_api = some_templates_of(load_settings("dev"), FrontDoorStack)["FrontDoor"]
    (after,) = of_type(changed_api, "AWS::ApiGateway::Deployment")
    assert after != before


def test_every_refusal_is_our_json(api: dict) -> None:
    responses = properties(api, "AWS::ApiGateway::GatewayResponse")
    assert {"DEFAULT_4XX", "DEFAULT_5XX"} <= {r["ResponseType"] for r in responses}
    for response in responses:
        text = response["ResponseTemplates"]["application/json"]
        # As the gateway fills it in.
        filled = text.replace("$context.error.messageString", '"No."')
        filled = filled.replace("$context.requestId", "1")
        answer = json.loads(filled)
        assert set(answer) == {"code", "message", "request_id"}
        assert answer["code"] and answer["message"]


def test_a_refusal_has_the_status_that_goes_with_its_code(stage: str, api: dict) -> None:
    statuses = {
        r["ResponseType"]: r.get("StatusCode")
        for r in properties(api, "AWS::ApiGateway::GatewayResponse")
    }
    # Of a path that is not there, and where requests are signed of an unsigned one as well.
    unknown_path = {"MISSING_AUTHENTICATION_TOKEN": "403" if stage == "prod" else "404"}
    assert statuses == STATUSES | unknown_path


def test_the_functions_end_before_the_gateway_gives_up(api: dict, function: dict) -> None:
    budget = float(variables(function)["TIME_BUDGET_SECONDS"])
    timeouts = {m["Integration"]["TimeoutInMillis"] for m in methods(api)}
    assert timeouts == {29_000}
    assert budget < function["Timeout"]
    assert all(f["Timeout"] < 29 for f in properties(api, "AWS::Lambda::Function"))


def test_the_stage_logs_traces_and_throttles(stage: str, api: dict) -> None:
    ((_, resource),) = of_type(api, "AWS::ApiGateway::Stage").items()
    deployed = resource["Properties"]
    assert deployed["TracingEnabled"] is True
    assert deployed["AccessLogSetting"]["DestinationArn"]
    (settings,) = (s for s in deployed["MethodSettings"] if s["ResourcePath"] == "/*")
    assert settings["DataTraceEnabled"] is False  # it would log the callers' texts
    limits = load_settings(stage).api
    assert settings["ThrottlingRateLimit"] == limits.rate_limit
    assert settings["ThrottlingBurstLimit"] == limits.burst_limit
    logged = json.loads(deployed["AccessLogSetting"]["Format"])
    assert logged["request_id"] == "$context.requestId"  # as in the function's and container's logs
    # A stage that logs is refused while the account has no role for it.
    assert set(of_type(api, "AWS::ApiGateway::Account")) <= set(resource["DependsOn"])


def test_the_function_may_invoke_the_endpoints_and_read_two_parameters(
    stage: str, api: dict
) -> None:
    allowed = {
        action: json.dumps(statement["Resource"])
        for name, statement in statements(api)
        if name.startswith("Function")
        for action in listed(statement["Action"])
    }
    assert set(allowed) == {
        "sagemaker:InvokeEndpoint",
        "ssm:GetParameter",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "xray:PutTraceSegments",
        "xray:PutTelemetryRecords",
    }
    assert f"endpoint/{Names(stage).prefix}-" in allowed["sagemaker:InvokeEndpoint"]
    assert "*" not in allowed["sagemaker:InvokeEndpoint"]
    assert "*" not in allowed["ssm:GetParameter"]
    for parameter in (Names(stage).deployment_parameter, Names(stage).serving_parameter):
        assert f"parameter{parameter}" in allowed["ssm:GetParameter"]


def test_no_function_knows_the_corpus(api: dict) -> None:
    """Its environment would change, and with it the function, for every new corpus."""
    for function in properties(api, "AWS::Lambda::Function"):
        assert not {k for k in variables(function) if "CORPUS" in k or "BAKE" in k}


def test_the_function_knows_the_endpoints_in_order_of_preference(
    stage: str, function: dict
) -> None:
    settings = load_settings(stage)
    prices = prices_for(settings)
    found = variables(function)
    assert found["APP_STAGE"] == stage
    assert found["DEPLOYMENT_PARAMETER"] == settings.names.deployment_parameter
    assert found["SERVING_PARAMETER"] == settings.names.serving_parameter
    assert float(found["UNANSWERED_BELOW"]) == settings.unanswered_below
    assert float(found["MIN_SCORE"]) == settings.search.min_score
    assert float(found["MARGIN"]) == settings.search.margin
    assert found["LEXICAL"] == "true"
    assert found["MAX_SEQ_LENGTH"] == str(settings.max_seq_length)
    assert json.loads(found["ENDPOINTS"]) == [
        {
            "instance_type": e.instance_type,
            "endpoint_name": settings.names.endpoint(e.instance_type),
            "min_instances": e.least_instances,
            "max_instances": e.most_instances,
            "hourly_price": {
                "amount": prices.instance_hour[e.instance_type],
                "currency": "USD",
                "as_of": prices.as_of.isoformat(),
            },
            "max_tokens": max_tokens(settings.jumpstart_model, e, settings.model.precision),
        }
        for e in settings.endpoints
    ]


def test_concurrency_is_reserved_where_the_settings_say_so(stage: str, function: dict) -> None:
    expected = load_settings(stage).api.reserved_concurrency
    assert function.get("ReservedConcurrentExecutions") == expected
    assert (expected is not None) == (stage == "prod")


def test_the_functions_have_their_packages(api: dict) -> None:
    (layer,) = of_type(api, "AWS::Lambda::LayerVersion")
    functions = properties(api, "AWS::Lambda::Function")
    layers = {f["Handler"].partition(".")[0]: f.get("Layers") for f in functions}
    for alone in ("console", "authorizer"):  # they have no packages
        layers.pop(alone, None)
    assert layers == {name: [{"Ref": layer}] for name in ("front_door", "batch")}


def test_it_is_deployed_after_the_endpoints_that_it_knows_by_name(
    stacks: Callable[[str], Stacks],
) -> None:
    front_door = stacks("dev")["FrontDoor"]
    assert Names("dev").stack("Model") in {d.id for d in front_door.dependencies}


def test_the_accounts_log_role_is_kept(api: dict) -> None:
    (account,) = of_type(api, "AWS::ApiGateway::Account").values()
    assert account["DeletionPolicy"] == "Retain"
    role = api["Resources"][account["Properties"]["CloudWatchRoleArn"]["Fn::GetAtt"][0]]
    assert role["DeletionPolicy"] == "Retain"


@pytest.mark.parametrize("output", [API_URL, API_AUTH])
def test_outputs_have_the_names_that_people_look_for(api: dict, output: str) -> None:
    assert output in api["Outputs"]


class TestUnansweredQuestions:
    def test_nothing_is_deployed_for_them_by_default(self, api: dict, function: dict) -> None:
        assert "Unanswered" not in api["Resources"]
        assert "UNANSWERED_LOG_GROUP" not in variables(function)

    def test_they_have_an_encrypted_log_that_is_deleted_with_the_setting(self) -> None:
        """Also where the stage retains its data, or the next log group of the name would fail."""
        for stage in ("dev", "prod"):
            settings = changed(stage, search={"keep_unanswered": True})
            templates = some_templates_of(settings, FrontDoorStack)
            log = templates["FrontDoor"]["Resources"]["Unanswered"]
            assert {log["DeletionPolicy"], log["UpdateReplacePolicy"]} == {"Delete"}
            key = log["Properties"].pop("KmsKeyId")["Fn::ImportValue"]
            assert log["Properties"] == {
                "LogGroupName": f"/faq-search/{stage}/unanswered",
                "RetentionInDays": 30,
            }
            (exported,) = (
                output["Value"]["Fn::GetAtt"]
                for output in templates["Foundation"]["Outputs"].values()
                if output.get("Export") == {"Name": key}
            )
            assert exported == [next(iter(of_type(templates["Foundation"], KEY))), "Arn"]

    def test_the_front_door_may_add_to_it_and_do_nothing_else(self, everything: Templates) -> None:
        template = everything["FrontDoor"]
        log = {"Fn::GetAtt": ["Unanswered", "Arn"]}
        allowed = [
            (name, listed(s["Action"]))
            for name, s in statements(template)
            if log in listed(s["Resource"])
        ]
        ((name, actions),) = allowed
        assert name.startswith("FunctionRoleDefaultPolicy")
        assert actions == ["logs:CreateLogStream", "logs:PutLogEvents"]
        (named,) = (
            variables(f)["UNANSWERED_LOG_GROUP"]
            for f in properties(template, "AWS::Lambda::Function")
            if "ENDPOINTS" in variables(f)
        )
        assert named == {"Ref": "Unanswered"}


def test_only_an_index_may_be_asked_and_its_parameter_read(function: dict) -> None:
    assert "INDEX_PARAMETER" not in function["Environment"]["Variables"]
    settings = changed("dev", search={"engine": "s3_vectors"})
    template = some_templates_of(settings, FrontDoorStack)["FrontDoor"]
    (asking,) = (f for f in properties(template, FUNCTION) if "ENDPOINTS" in str(f))
    assert asking["Environment"]["Variables"]["INDEX_PARAMETER"] == settings.names.index_parameter
    allowed = grant(template, "FunctionRole", "s3vectors:QueryVectors")
    assert allowed["Action"] == ["s3vectors:GetVectors", "s3vectors:QueryVectors"]
    assert f":bucket/{settings.names.vector_bucket}/index/*" in str(allowed["Resource"])
    assert settings.names.index_parameter in str(
        grant(template, "FunctionRole", "ssm:GetParameter")
    )
