"""REST APIs answer as on API Gateway: routes, events, responses, limits."""

from __future__ import annotations

import http.client
import json
import time

import pytest

from tests.support.gateway import Api, Caller, create_function

# Returns its event, or what the event's body asks for.
ECHO = """
import json, time
def handler(event, context):
    body = event["body"]
    if body and body.startswith('{"answer"'):
        order = json.loads(body)
        if order.get("raise"):
            raise ValueError("no")
        time.sleep(order.get("sleep", 0))
        return order["answer"]
    return {"statusCode": 200, "body": json.dumps(event)}
"""


@pytest.fixture(scope="module")
def echo(aws) -> str:
    return create_function(aws, "echo", ECHO)


@pytest.fixture(scope="module")
def call(aws, echo) -> Caller:
    api = Api(aws, "plain")
    api.method("GET", "/", echo)
    api.method("POST", "/search", echo)
    api.method("GET", "/items/{id}", echo)
    api.method("DELETE", "/items/{id}", echo)
    api.method("GET", "/items/special", echo)
    api.method("ANY", "/files/{name}/{part}", echo)
    api.method("GET", "/pages", echo)
    api.method("GET", "/pages/{proxy+}", echo)
    api.method("GET", "/pages/one/{id}", echo)
    api.method("POST", "/slow", echo, {"timeoutInMillis": 100})
    return api.deploy()


@pytest.mark.parametrize(
    ("method", "path", "resource", "parameters"),
    [
        ("GET", "/", "/", None),
        ("GET", "", "/", None),
        ("POST", "/search", "/search", None),
        ("GET", "/items/7", "/items/{id}", {"id": "7"}),
        ("DELETE", "/items/7", "/items/{id}", {"id": "7"}),
        ("GET", "/items/special", "/items/special", None),
        ("GET", "/pages", "/pages", None),
        ("GET", "/pages/a.js", "/pages/{proxy+}", {"proxy": "a.js"}),
        ("GET", "/pages/a/b%2F/c", "/pages/{proxy+}", {"proxy": "a/b%2F/c"}),
        ("GET", "/pages/one/2", "/pages/one/{id}", {"id": "2"}),
        ("GET", "/pages/one/2/3", "/pages/{proxy+}", {"proxy": "one/2/3"}),
        ("DELETE", "/files/a/b%2F", "/files/{name}/{part}", {"name": "a", "part": "b%2F"}),
    ],
)
def test_the_most_specific_resource_answers(call, method, path, resource, parameters):
    status, _, event = call(method, path)
    assert status == 200
    assert event["resource"] == resource
    assert event["pathParameters"] == parameters


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/nothing"), ("GET", "/search"), ("GET", "/items/1/2"), ("GET", "/files")],
)
def test_an_unknown_path_or_method_misses_its_authentication_token(call, method, path):
    status, headers, body = call(method, path)
    assert status == 403
    assert headers["x-amzn-errortype"] == "MissingAuthenticationTokenException"
    assert body == {"message": "Missing Authentication Token"}


def test_an_unknown_stage_is_forbidden(aws, call):
    other = Caller(aws, call.base.removesuffix("test") + "absent")
    assert other("GET", "/")[::2] == (403, {"message": "Forbidden"})


def test_the_event_has_every_key_of_format_1(call):
    status, headers, event = call(
        "POST", "/search?a=1&a=2&b=%C3%A9", {"q": "é"}, {"X-Own": "1", "User-Agent": "tests"}
    )
    assert status == 200
    assert set(event) == {
        "resource",
        "path",
        "httpMethod",
        "headers",
        "multiValueHeaders",
        "queryStringParameters",
        "multiValueQueryStringParameters",
        "pathParameters",
        "stageVariables",
        "requestContext",
        "body",
        "isBase64Encoded",
    }
    assert event["path"] == "/search"
    assert event["queryStringParameters"] == {"a": "2", "b": "é"}
    assert event["multiValueQueryStringParameters"] == {"a": ["1", "2"], "b": ["é"]}
    assert event["headers"]["X-Own"] == "1"
    assert event["multiValueHeaders"]["X-Own"] == ["1"]
    assert json.loads(event["body"]) == {"q": "é"}
    context = event["requestContext"]
    assert context["stage"] == "test"
    assert context["path"] == "/test/search"
    assert context["resourcePath"] == "/search"
    assert context["httpMethod"] == "POST"
    assert context["accountId"] == "123456789012"
    assert context["identity"]["sourceIp"] == "127.0.0.1"
    assert context["identity"]["userAgent"] == "tests"
    assert context["requestId"] == headers["x-amzn-requestid"]
    assert context["extendedRequestId"] == headers["x-amz-apigw-id"]
    assert context["apiId"] == call.base.split("/")[2]
    assert abs(context["requestTimeEpoch"] - time.time() * 1000) < 60_000
    assert event["headers"]["X-Amzn-Trace-Id"] == headers["x-amzn-trace-id"]


def test_without_body_and_query_the_event_says_null(call):
    _, _, event = call("GET", "/")
    assert event["body"] is None
    assert event["queryStringParameters"] is None
    assert event["isBase64Encoded"] is False


@pytest.mark.parametrize("status", [200, 202, 409])
def test_a_status_of_the_functions_reaches_a_caller_that_deletes(call, status):
    order = {"answer": {"statusCode": status, "body": '{"status": "stopping"}'}}
    answered, _, body = call("DELETE", "/items/7", order)
    assert (answered, body) == (status, {"status": "stopping"})


def test_status_headers_and_body_are_the_functions(call):
    answer = {
        "statusCode": "418",
        "headers": {"X-One": "1", "X-Both": "lost", "Connection": "close", "X-True": True},
        "multiValueHeaders": {"X-Both": ["a", "b"]},
        "body": "short and stout",
    }
    call.connection.request("POST", f"{call.base}/search", json.dumps({"answer": answer}))
    response = call.connection.getresponse()
    assert response.read() == b"short and stout"
    assert response.status == 418
    assert response.headers["X-One"] == "1"
    assert response.headers["X-True"] == "true"
    assert response.headers.get_all("X-Both") == ["a", "b"]
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["x-amzn-Remapped-Connection"] == "close"


@pytest.mark.parametrize(
    "order",
    [
        {"answer": None},
        {"answer": "text"},
        {"answer": {"body": "no status"}},
        {"answer": {"statusCode": 200, "body": {"not": "a string"}}},
        {"answer": {"statusCode": 200, "cookies": []}},
        {"answer": {"statusCode": 99}},
        {"answer": {"statusCode": "many"}},
        {"answer": {}, "raise": True},
    ],
)
def test_a_malformed_answer_or_an_error_of_the_function_is_502(call, order):
    status, headers, body = call("POST", "/search", order)
    assert status == 502
    assert headers["x-amzn-errortype"] == "InternalServerErrorException"
    assert body == {"message": "Internal server error"}


def test_a_slow_function_is_504_in_time(call):
    call("POST", "/slow", {"answer": {"statusCode": 200}})
    began = time.monotonic()
    status, _, body = call("POST", "/slow", {"answer": {"statusCode": 200}, "sleep": 1})
    assert (status, body) == (504, {"message": "Endpoint request timed out"})
    assert time.monotonic() - began < 0.6


def test_over_10_mb_is_413_and_the_connection_stays_open(call):
    status, _, body = call("POST", "/search", b"x" * (10 * 1024 * 1024 + 1))
    assert (status, body) == (413, {"message": "Request Too Long"})
    assert call("GET", "/")[0] == 200


def test_an_event_too_large_for_lambda_is_413(call):
    assert call("POST", "/search", b"x" * 7_000_000)[0] == 413


def test_an_early_refusal_with_a_body_does_not_break_the_connection(call):
    for _ in range(2):
        assert call("POST", "/nothing", b"y" * 300_000)[0] == 403
        assert call("GET", "/")[0] == 200


def test_a_chunked_body_arrives(call):
    connection = http.client.HTTPConnection(call.host)
    parts = (b'{"a": ', b"1}")
    connection.request("POST", f"{call.base}/search", iter(parts), encode_chunked=True)
    event = json.loads(connection.getresponse().read())
    assert json.loads(event["body"]) == {"a": 1}
    connection.close()


def test_a_chunked_body_over_10_mb_is_413(aws):
    api = Api(aws, "chunked")
    mocked = {"type": "MOCK", "requestTemplates": {"application/json": '{"statusCode": 200}'}}
    api.method("POST", "/search", None, mocked)  # Lambda's own limit would hide the gateway's
    call = api.deploy()
    connection = http.client.HTTPConnection(call.host)
    parts = (b"x" * (1 << 20) for _ in range(11))
    connection.request("POST", f"{call.base}/search", parts, encode_chunked=True)
    response = connection.getresponse()
    assert (response.status, json.loads(response.read())) == (413, {"message": "Request Too Long"})
    connection.close()


def test_edits_show_with_the_next_deployment_only(aws, echo):
    api = Api(aws, "edited")
    api.method("GET", "/old", echo)
    call = api.deploy()
    api.method("GET", "/new", echo)
    assert call("GET", "/new")[0] == 403
    api.deploy()
    assert call("GET", "/new")[0] == 200


def answer_options(api, request_template, header, value, **templates):
    """Has a MOCK answer OPTIONS with 204 and a header."""
    template = {"type": "MOCK", "requestTemplates": {"application/json": request_template}}
    api.method("OPTIONS", "/", None, template)
    where = {"restApiId": api.id, "resourceId": api.resources["/"], "httpMethod": "OPTIONS"}
    name = f"method.response.header.{header}"
    api.client.put_method_response(**where, statusCode="204", responseParameters={name: True})
    api.client.put_integration_response(
        **where, statusCode="204", responseParameters={name: value}, **templates
    )


def test_preflight_is_answered_by_a_mock(aws, echo):
    api = Api(aws, "preflight")
    header = "Access-Control-Allow-Origin"
    answer_options(api, "{ statusCode: 204 }", header, "'https://example.com'")
    status, headers, body = api.deploy()("OPTIONS", "/")
    assert (status, body) == (204, b"")
    assert headers["access-control-allow-origin"] == "https://example.com"


def test_a_mocks_template_reads_parameters_and_sets_headers(aws):
    api = Api(aws, "template")
    answer_options(
        api,
        '{"statusCode": 204}',
        "X-Fixed",
        "'fixed'",
        responseTemplates={
            "application/json": '#set($origin = $input.params("Origin"))\n'
            '#if($origin == "https://a.example" || $origin == "https://b.example")\n'
            "#set($context.responseOverride.header.Access-Control-Allow-Origin = $origin)\n"
            "#end\n"
        },
    )
    call = api.deploy()
    for origin, allowed in (
        ("https://b.example", "https://b.example"),
        ("https://c.example", None),
        ("", None),
    ):
        status, headers, _ = call("OPTIONS", "/", headers={"origin": origin})
        assert status == 204
        assert headers["x-fixed"] == "fixed"
        assert headers.get("access-control-allow-origin") == allowed


def test_an_integration_that_does_not_run_here_is_500(aws):
    api = Api(aws, "http")
    where = {"type": "HTTP", "integrationHttpMethod": "GET", "uri": "http://example.com/"}
    api.method("GET", "/", None, where)
    assert api.deploy()("GET", "/")[::2] == (500, {"message": "Internal server error"})


def test_the_access_log_has_the_stages_format(aws, echo):
    api = Api(aws, "logged")
    api.method("GET", "/", echo)
    call = api.deploy()
    group = "arn:aws:logs:us-east-1:123456789012:log-group:/access"
    api.patch_stage(
        ("/accessLogSettings/destinationArn", group),
        (
            "/accessLogSettings/format",
            '{"id":"$context.requestId","status":$context.status,"path":"$context.resourcePath",'
            '"ip":"$context.identity.sourceIp","user":"$context.identity.user",'
            '"error":$context.error.messageString}',
        ),
    )
    _, headers, _ = call("GET", "/")
    call("GET", "/nothing")
    file = aws.context.state_dir / "logs" / "api_gateway" / f"{api.id}-test.log"
    first, second = file.read_text().splitlines()
    expected = f'{{"id":"{headers["x-amzn-requestid"]}","status":200,"path":"/",'
    assert first == expected + '"ip":"127.0.0.1","user":"-","error":-}'
    assert json.loads(second)["error"] == "Missing Authentication Token"
    logs = aws.context.client("logs").filter_log_events(logGroupName="/access")["events"]
    assert [event["message"] for event in logs] == [first, second]
