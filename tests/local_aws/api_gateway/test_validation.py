"""Request validators, models and gateway responses."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from local_aws.server import LocalAws
from tests.support.gateway import Api, Caller, create_function, local_aws

ECHO = "import json\ndef handler(e, c): return {'statusCode': 200, 'body': json.dumps(e)}"
SCHEMA = {
    "$schema": "http://json-schema.org/draft-04/schema#",
    "type": "object",
    "required": ["queries"],
    "additionalProperties": False,
    "properties": {
        "queries": {
            "type": "array",
            "minItems": 1,
            "maxItems": 2,
            "items": {"$ref": "#/definitions/text"},
        },
        "top_k": {"type": "integer", "minimum": 1, "maximum": 10},
        "mode": {"enum": ["a", "b"]},
    },
    "definitions": {"text": {"type": "string", "minLength": 1, "maxLength": 5}},
}


@pytest.fixture(scope="module")
def aws(tmp_path_factory) -> Iterator[LocalAws]:
    with local_aws(tmp_path_factory.mktemp("aws")) as started:
        yield started


@pytest.fixture(scope="module")
def echo(aws) -> str:
    return create_function(aws, "echo", ECHO)


def validated(aws: LocalAws, name: str, echo: str) -> Api:
    api = Api(aws, name)
    api.client.create_model(
        restApiId=api.id,
        name="Search",
        contentType="application/json",
        schema=json.dumps(SCHEMA),
    )
    validator = api.client.create_request_validator(
        restApiId=api.id,
        name="all",
        validateRequestBody=True,
        validateRequestParameters=True,
    )["id"]
    api.method(
        "POST",
        "/search",
        echo,
        requestValidatorId=validator,
        requestModels={"application/json": "Search"},
    )
    api.method(
        "GET",
        "/items",
        echo,
        requestValidatorId=validator,
        requestParameters={
            "method.request.querystring.q": True,
            "method.request.querystring.r": False,
            "method.request.header.X-Own": True,
        },
    )
    api.method("POST", "/strict", echo, {"passthroughBehavior": "NEVER"})
    return api


def respond(api: Api, kind: str, template: str | None = None, **options) -> None:
    if template is not None:
        options["responseTemplates"] = {"application/json": template}
    api.client.put_gateway_response(restApiId=api.id, responseType=kind, **options)


@pytest.fixture(scope="module")
def call(aws, echo) -> Caller:
    api = validated(aws, "validated", echo)
    template = '{"detail": "$context.error.validationErrorString"}'
    respond(api, "BAD_REQUEST_BODY", template)
    respond(api, "BAD_REQUEST_PARAMETERS", template)
    return api.deploy()


def test_a_valid_body_passes(call):
    assert call("POST", "/search", {"queries": ["one"], "top_k": 10, "mode": "a"})[0] == 200


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({}, '[object has missing required properties (["queries"])]'),
        (
            [],
            "[instance type (array) does not match any allowed primitive type "
            '(allowed: ["object"])]',
        ),
        (
            {"queries": "one"},
            "[instance type (string) does not match any allowed primitive type "
            '(allowed: ["array"])]',
        ),
        (
            {"queries": []},
            "[array is too short: must have at least 1 elements but instance has 0 elements]",
        ),
        (
            {"queries": ["a", "b", "c"]},
            "[array is too long: must have at most 2 elements but instance has 3 elements]",
        ),
        (
            {"queries": [""]},
            '[string "" is too short (length: 0, required minimum: 1)]',
        ),
        (
            {"queries": ["123456"]},
            '[string "123456" is too long (length: 6, maximum allowed: 5)]',
        ),
        (
            {"queries": ["a"], "top_k": 0},
            "[numeric instance is lower than the required minimum (minimum: 1, found: 0)]",
        ),
        (
            {"queries": ["a"], "top_k": 11},
            "[numeric instance is greater than the required maximum (maximum: 10, found: 11)]",
        ),
        (
            {"queries": ["a"], "mode": "c"},
            '[instance value ("c") not found in enum (possible values: ["a","b"])]',
        ),
        (
            {"queries": ["a"], "more": 1},
            '[object instance has properties which are not allowed by the schema: ["more"]]',
        ),
    ],
)
def test_a_body_against_the_model_is_400_with_what_is_wrong(call, body, detail):
    status, headers, answer = call("POST", "/search", body)
    assert status == 400
    assert headers["x-amzn-errortype"] == "BadRequestException"
    assert answer == {"detail": detail}


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b'{"queries": ["a"]} more'])
def test_a_body_that_is_no_json_is_400(call, body):
    status, _, answer = call("POST", "/search", body)
    assert status == 400
    assert set(answer) == {"detail"}


def test_a_content_type_without_a_model_is_not_validated(call):
    assert call("POST", "/search", b"text", {"Content-Type": "text/plain"})[0] == 200
    typed = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert call("POST", "/search", b"{}", typed)[0] == 400


def test_a_model_may_refer_to_another(aws, echo):
    api = validated(aws, "referring", echo)
    url = f"https://apigateway.amazonaws.com/restapis/{api.id}/models/Search"
    api.client.create_model(
        restApiId=api.id,
        name="Many",
        contentType="application/json",
        schema=json.dumps({"type": "array", "items": {"$ref": url}}),
    )
    validator = api.client.create_request_validator(
        restApiId=api.id, name="body", validateRequestBody=True
    )["id"]
    models = {"application/json": "Many"}
    api.method("POST", "/many", echo, requestValidatorId=validator, requestModels=models)
    many = api.deploy()
    assert many("POST", "/many", [{"queries": ["a"]}])[0] == 200
    assert many("POST", "/many", [{"queries": []}])[0] == 400


def test_required_parameters_must_be_there(call):
    assert call("GET", "/items?q=1", None, {"X-Own": "1"})[0] == 200
    status, _, answer = call("GET", "/items?r=1")
    assert status == 400
    assert answer == {"detail": "Missing required request parameters: [q, X-Own]"}


def test_passthrough_never_refuses_types_without_a_template(call):
    status, _, body = call("POST", "/strict", b"x", {"Content-Type": "text/plain"})
    assert (status, body) == (415, {"message": "Unsupported Media Type"})


@pytest.fixture(scope="module")
def customised(aws, echo) -> Caller:
    api = validated(aws, "customised", echo)
    template = (
        '{"code": "$context.error.responseType", "message": $context.error.messageString, '
        '"quoted": "$context.error.message", "id": "$context.requestId", '
        '"path": "$context.path", "nothing": "$context.authorizer.claims"}'
    )
    respond(
        api,
        "DEFAULT_4XX",
        template,
        responseParameters={
            "gatewayresponse.header.Access-Control-Allow-Origin": "'*'",
            "gatewayresponse.header.X-Id": "context.requestId",
            "gatewayresponse.header.X-Echo": "method.request.header.X-Own",
        },
    )
    respond(api, "BAD_REQUEST_BODY", '{"own": true}', statusCode="422")
    respond(api, "DEFAULT_5XX", '{"code": "sorry"}', statusCode="503")
    where = {"type": "HTTP", "integrationHttpMethod": "GET", "uri": "http://example.com/"}
    api.method("GET", "/broken", None, where)
    return api.deploy()


def test_default_4xx_answers_for_what_has_no_response_of_its_own(customised):
    status, headers, body = customised("GET", "/nothing", None, {"X-Own": "mine"})
    assert status == 403
    assert body == {
        "code": "MISSING_AUTHENTICATION_TOKEN",
        "message": "Missing Authentication Token",
        "quoted": "Missing Authentication Token",
        "id": headers["x-amzn-requestid"],
        "path": "/test/nothing",
        "nothing": "",
    }
    assert headers["access-control-allow-origin"] == "*"
    assert headers["x-id"] == headers["x-amzn-requestid"]
    assert headers["x-echo"] == "mine"
    assert headers["content-type"] == "application/json"


def test_the_own_response_wins_and_sets_the_status(customised):
    assert customised("POST", "/search", {})[::2] == (422, {"own": True})


def test_default_5xx_answers_for_the_gateways_own_failures(customised):
    assert customised("GET", "/broken")[::2] == (503, {"code": "sorry"})


def test_a_message_with_quotes_stays_json(aws, echo):
    api = Api(aws, "quotes")
    api.method("GET", "/", echo, authorizationType="AWS_IAM")
    respond(
        api,
        "INVALID_SIGNATURE",
        '{"a": $context.error.messageString, "b": "$context.error.message"}',
    )
    header = (
        "AWS4-HMAC-SHA256 Credential=a/20300101/us-east-1/execute-api/other, "
        "SignedHeaders=host, Signature=x"
    )
    _, _, body = api.deploy()(
        "GET", "/", None, {"Authorization": header, "X-Amz-Date": "20300101T000000Z"}
    )
    assert body["a"] == body["b"]
    assert "aws4_request" in body["a"]
