"""The console and CORS: what is open, for whom, and what it can reach."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from contract.outputs import CONSOLE_URL
from tests.support.synthesis import (
    Templates,
    changed,
    listed,
    of_type,
    properties,
    statements,
    templates_of,
)

ORIGINS = ["https://www.example.com", "http://localhost:3000"]
REGION_OF_APIS = "https://*.execute-api.us-east-1."


@pytest.fixture(scope="module")
def asked_from_pages() -> Templates:
    """Stage prod, which has no console, asked from pages elsewhere."""
    return templates_of(changed("prod", api={"cors_origins": ORIGINS}))


def console_function(api: dict) -> dict:
    (found,) = (
        f
        for f in properties(api, "AWS::Lambda::Function")
        if f["Handler"] == "console.handler.handler"
    )
    return found


def resource(api: dict, part: str) -> str:
    (name,) = (
        name
        for name, found in of_type(api, "AWS::ApiGateway::Resource").items()
        if found["Properties"]["PathPart"] == part
    )
    return name


def cors_rules(templates: Templates) -> list[dict]:
    return [
        rule
        for bucket in properties(templates["Foundation"], "AWS::S3::Bucket")
        for rule in bucket.get("CorsConfiguration", {}).get("CorsRules", [])
    ]


class TestConsole:
    def test_its_files_are_the_only_thing_open(self, templates) -> None:
        api = templates("dev")["FrontDoor"]
        open_methods = [
            (method["ResourceId"]["Ref"], method["HttpMethod"])
            for method in properties(api, "AWS::ApiGateway::Method")
            if method["AuthorizationType"] == "NONE" and not method.get("ApiKeyRequired")
        ]
        parts = ("console", "{proxy+}")
        assert sorted(open_methods) == sorted((resource(api, part), "GET") for part in parts)

    def test_its_function_may_do_nothing_but_log(self, templates) -> None:
        api = templates("dev")["FrontDoor"]
        role = console_function(api)["Role"]["Fn::GetAtt"][0]
        actions = {
            action
            for name, statement in statements(api)
            if api["Resources"][name]["Properties"].get("Roles") == [{"Ref": role}]
            for action in listed(statement["Action"])
        }
        assert actions == {"logs:CreateLogStream", "logs:PutLogEvents"}

    def test_it_knows_how_callers_sign_in_and_where_uploads_go(self, templates) -> None:
        variables = console_function(templates("dev")["FrontDoor"])["Environment"]["Variables"]
        assert variables["API_AUTH"] == "api_key"
        bucket = json.dumps(variables.pop("UPLOAD_ORIGIN"))
        assert "Batch" in bucket and ".s3.us-east-1." in bucket
        assert set(variables) == {"API_AUTH"}

    def test_it_has_limits_of_its_own(self, templates) -> None:
        (stage,) = properties(templates("dev")["FrontDoor"], "AWS::ApiGateway::Stage")
        limits = {s["ResourcePath"]: s for s in stage["MethodSettings"]}
        for path in ("/~1console", "/~1console~1{proxy+}"):
            assert limits[path]["HttpMethod"] == "GET"
            assert limits[path]["ThrottlingRateLimit"] == 50
            assert limits[path]["DataTraceEnabled"] is False
            assert limits[path]["LoggingLevel"] == "ERROR"

    def test_its_url_is_an_output(self, templates) -> None:
        assert CONSOLE_URL in templates("dev")["FrontDoor"]["Outputs"]
        assert CONSOLE_URL not in templates("prod")["FrontDoor"]["Outputs"]

    def test_pages_of_the_regions_apis_may_use_presigned_urls(self, templates) -> None:
        (rule,) = cors_rules(templates("dev"))
        (origin,) = rule["AllowedOrigins"]
        assert json.dumps(origin).replace('"', "").find(REGION_OF_APIS) >= 0
        assert rule["AllowedMethods"] == ["GET", "PUT"]
        assert rule["AllowedHeaders"] == ["content-type", "range"]

    def test_prod_has_none_unless_the_settings_say_so(self, templates) -> None:
        api = templates("prod")["FrontDoor"]
        assert "console" not in json.dumps(api)
        assert cors_rules(templates("prod")) == []
        with_one = templates_of(changed("prod", api={"console": True}))["FrontDoor"]
        variables = console_function(with_one)["Environment"]["Variables"]
        assert variables["API_AUTH"] == "iam"


class TestCors:
    def test_there_is_none_by_default(self, api: dict) -> None:
        methods = properties(api, "AWS::ApiGateway::Method")
        assert "OPTIONS" not in {method["HttpMethod"] for method in methods}
        assert "Access-Control" not in json.dumps(api)

    def test_every_path_of_the_api_answers_preflights_itself(self, asked_from_pages) -> None:
        api = asked_from_pages["FrontDoor"]
        methods = properties(api, "AWS::ApiGateway::Method")
        verbs: dict[str, set[str]] = {}
        for method in methods:
            verbs.setdefault(method["ResourceId"]["Ref"], set()).add(method["HttpMethod"])
        for method in methods:
            if method["HttpMethod"] != "OPTIONS":
                continue
            assert method["AuthorizationType"] == "NONE"
            assert method["ApiKeyRequired"] is False
            assert method["Integration"]["Type"] == "MOCK"
            (answer,) = method["Integration"]["IntegrationResponses"]
            sent = answer["ResponseParameters"]
            allowed = sent["method.response.header.Access-Control-Allow-Methods"]
            assert set(allowed.strip("'").split(",")) == verbs[method["ResourceId"]["Ref"]]
            assert sent["method.response.header.Vary"] == "'Origin'"
            assert "method.response.header.Access-Control-Allow-Origin" not in sent
        assert all("OPTIONS" in found for found in verbs.values())

    def test_the_functions_know_the_origins(self, asked_from_pages) -> None:
        for function in properties(asked_from_pages["FrontDoor"], "AWS::Lambda::Function"):
            assert json.loads(function["Environment"]["Variables"]["CORS_ORIGINS"]) == ORIGINS

    @pytest.mark.parametrize(("origins", "value"), [(ORIGINS, "'*'"), (ORIGINS[:1], "'{0}'")])
    def test_pages_may_read_the_gateways_own_refusals(self, origins: list[str], value: str) -> None:
        api = templates_of(changed("prod", api={"cors_origins": origins}))["FrontDoor"]
        for response in properties(api, "AWS::ApiGateway::GatewayResponse"):
            assert response["ResponseParameters"] == {
                "gatewayresponse.header.Access-Control-Allow-Origin": value.format(*origins)
            }

    def test_other_origins_make_another_deployment(
        self, templates: Callable[[str], Templates], asked_from_pages: Templates
    ) -> None:
        """A stage shows what its deployment has copied."""
        kind = "AWS::ApiGateway::Deployment"
        (before,) = of_type(templates("prod")["FrontDoor"], kind)
        (after,) = of_type(asked_from_pages["FrontDoor"], kind)
        assert after != before

    def test_they_may_use_presigned_urls(self, asked_from_pages: Templates) -> None:
        (rule,) = cors_rules(asked_from_pages)
        assert rule["AllowedOrigins"] == ORIGINS
