"""Gateway responses, by which an API's owner customises the gateway's errors."""

from __future__ import annotations

import pytest

from tests.support.gateway import ECHO, Api, Caller, create_function


@pytest.fixture(scope="module")
def echo(aws) -> str:
    return create_function(aws, "echo", ECHO)


def respond(api: Api, kind: str, template: str | None = None, **options) -> None:
    if template is not None:
        options["responseTemplates"] = {"application/json": template}
    api.client.put_gateway_response(restApiId=api.id, responseType=kind, **options)


@pytest.fixture(scope="module")
def customised(aws, echo) -> Caller:
    api = Api(aws, "customised")
    api.method("POST", "/search", echo, apiKeyRequired=True)
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
        },
    )
    respond(api, "INVALID_API_KEY", '{"own": true}', statusCode="422")
    respond(api, "DEFAULT_5XX", '{"code": "sorry"}', statusCode="503")
    where = {"type": "HTTP", "integrationHttpMethod": "GET", "uri": "http://example.com/"}
    api.method("GET", "/broken", None, where)
    return api.deploy()


def test_default_4xx_answers_for_types_without_a_response(customised):
    status, headers, body = customised("GET", "/nothing")
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
    assert headers["content-type"] == "application/json"


def test_the_specific_response_wins_and_sets_the_status(customised):
    assert customised("POST", "/search", {})[::2] == (422, {"own": True})


def test_default_5xx_answers_for_failures_of_the_gateway(customised):
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
