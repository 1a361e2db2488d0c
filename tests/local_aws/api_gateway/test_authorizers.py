"""Lambda authorizers: who is asked, what the answer lets a caller do, and where keys come from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from local_aws.server import LocalAws
from tests.support.access import ACCOUNT, local_aws, make_role
from tests.support.gateway import ECHO, Api, create_function

# Answers what the header X-Order says, or raises it.
OBEDIENT = """
import json
def handler(event, context):
    if event["type"] == "TOKEN":
        order = json.loads(event["authorizationToken"].removeprefix("Bearer "))
    else:
        order = json.loads(event["headers"]["X-Order"])
    if "raise" in order:
        raise Exception(order["raise"])
    print(json.dumps(event))
    answer = order.get("answer", order)
    if isinstance(answer, dict) and "effect" in answer:
        effect, resource = answer.pop("effect"), answer.pop("resource", event["methodArn"])
        answer = {"principalId": "me", "policyDocument": {"Version": "2012-10-17", "Statement": [
            {"Effect": effect, "Action": "execute-api:Invoke", "Resource": resource}]}, **answer}
    return answer
"""
ALLOW = {"effect": "Allow"}


@pytest.fixture(scope="module")
def aws(tmp_path_factory) -> Iterator[LocalAws]:
    with local_aws(tmp_path_factory.mktemp("aws")) as started:
        create_function(started, "echo", ECHO)
        create_function(started, "obedient", OBEDIENT)
        yield started


class Guarded:
    """An API with one method behind an authorizer."""

    def __init__(
        self, aws: LocalAws, name: str, kind: str = "REQUEST", key: bool = False, **options: Any
    ) -> None:
        source = {"apiKeySource": "AUTHORIZER"} if key else {}
        self.api = Api(aws, name, **source)
        function = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:"
        self.authorizer = self.api.client.create_authorizer(
            restApiId=self.api.id,
            name=name,
            type=kind,
            authorizerUri="arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/"
            f"{function}{options.pop('function', 'obedient')}/invocations",
            authorizerResultTtlInSeconds=0,
            **options,
        )["id"]
        self.api.method(
            "POST",
            "/items/{id}",
            f"{function}echo",
            authorizationType="CUSTOM",
            authorizerId=self.authorizer,
            apiKeyRequired=key,
        )
        self.call = self.api.deploy()

    def __call__(self, order: Any, path: str = "/items/7?a=1", **headers: str):
        sent = {} if order is None else {"X-Order": json.dumps(order)}
        return self.call("POST", path, {"x": 1}, {**sent, **headers})


@pytest.fixture(scope="module")
def guarded(aws) -> Guarded:
    return Guarded(aws, "guarded")


@pytest.fixture(scope="module")
def tokens(aws) -> Guarded:
    return Guarded(
        aws,
        "tokens",
        "TOKEN",
        identitySource="method.request.header.Authorization",
        identityValidationExpression=r"Bearer \{.*\}",
    )


def refusal(answer) -> tuple[int, str, str]:
    status, headers, body = answer
    return status, headers["x-amzn-errortype"], body["message"]


def test_an_allowed_request_reaches_the_function_with_the_context(guarded):
    status, _, event = guarded(
        {"answer": {**ALLOW, "context": {"name": "x", "number": 1, "flag": True}}}
    )
    assert status == 200
    assert event["requestContext"]["authorizer"] == {
        "principalId": "me",
        "name": "x",
        "number": "1",
        "flag": "true",
    }


def test_an_alias_is_asked_once_the_api_may_call_it_and_not_only_its_function(aws):
    client = aws.context.client("lambda")
    client.publish_version(FunctionName="obedient")
    client.create_alias(FunctionName="obedient", Name="live", FunctionVersion="1")
    guarded = Guarded(aws, "aliased", function="obedient:live")
    assert guarded(ALLOW)[0] == 500
    client.add_permission(
        FunctionName="obedient:live",
        StatementId="live",
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
    )
    assert guarded(ALLOW)[0] == 200


def test_the_authorizer_sees_the_request_but_not_its_body(aws, guarded):
    status, _, event = guarded({"answer": {**ALLOW, "resource": "*"}}, "/items/7?a=1&a=2")
    assert status == 200
    log = "".join(
        file.read_text() for file in (aws.context.state_dir / "logs/lambda").glob("obedient*")
    )
    seen = next(
        found
        for line in log.splitlines()
        if '"methodArn"' in line
        and (found := json.loads(line[line.index("{") :]))["requestContext"]["requestId"]
        == event["requestContext"]["requestId"]
    )
    assert seen["methodArn"] == (
        f"arn:aws:execute-api:us-east-1:{ACCOUNT}:{guarded.api.id}/test/POST/items/7"
    )
    assert set(seen) == {*event, "type", "methodArn"} - {"body", "isBase64Encoded"}
    assert seen["multiValueQueryStringParameters"] == {"a": ["1", "2"]}
    assert seen["pathParameters"] == {"id": "7"}
    assert "authorizer" not in seen["requestContext"]


@pytest.mark.parametrize(
    ("resource", "status"),
    [
        ("*", 200),
        ("arn:aws:execute-api:*:*:*/test/*", 200),
        ("arn:aws:execute-api:*:*:*/test/POST/items/*", 200),
        ("arn:aws:execute-api:*:*:*/test/POST/items/8", 403),
        ("arn:aws:execute-api:*:*:*/test/GET/*", 403),
        ("arn:aws:execute-api:*:*:*/other/*", 403),
    ],
)
def test_the_policy_decides_about_the_method(guarded, resource, status):
    assert guarded({"effect": "Allow", "resource": resource})[0] == status


def test_what_no_statement_allows_is_denied(guarded):
    assert refusal(guarded({"effect": "Allow", "resource": "arn:aws:s3:::x"})) == (
        403,
        "AccessDeniedException",
        "User is not authorized to access this resource",
    )


def test_a_deny_is_said_to_be_explicit(guarded):
    assert refusal(guarded({"effect": "Deny"})) == (
        403,
        "AccessDeniedException",
        "User is not authorized to access this resource with an explicit deny",
    )


def test_one_deny_outweighs_what_is_allowed(guarded):
    both = [
        {"Effect": effect, "Action": "execute-api:Invoke", "Resource": "*"}
        for effect in ("Allow", "Deny")
    ]
    answer = {"principalId": "me", "policyDocument": {"Statement": both}}
    assert guarded({"answer": answer})[0] == 403


def test_unauthorized_is_an_exception_with_that_text(guarded):
    assert refusal(guarded({"raise": "Unauthorized"})) == (
        401,
        "UnauthorizedException",
        "Unauthorized",
    )


@pytest.mark.parametrize("text", ["unauthorized", "Unauthorized: no", ""])
def test_another_exception_is_a_failure(guarded, text):
    status, kind, _ = refusal(guarded({"raise": text}))
    assert (status, kind) == (500, "AuthorizerFailureException")


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        "Allow",
        {},
        {"principalId": "me"},
        {"principalId": "me", "policyDocument": []},
        {**ALLOW, "context": {"nested": {}}},
        {**ALLOW, "context": ["x"]},
    ],
)
def test_a_malformed_answer_is_a_configuration_error(guarded, answer):
    status, kind, _ = refusal(guarded({"answer": answer}))
    assert (status, kind) == (500, "AuthorizerConfigurationException")


def test_identity_sources_are_needed_before_the_authorizer_is_asked(aws):
    sources = "method.request.header.X-Who, method.request.querystring.a"
    api = Guarded(aws, "sources", identitySource=sources)
    assert api(ALLOW, **{"x-who": "me"})[0] == 200
    # The order would fail if the authorizer were asked.
    for path, headers in (
        ("/items/7?a=1", {}),
        ("/items/7", {"x-who": "me"}),
        ("/items/7?a=", {"x-who": "me"}),
        ("/items/7?a=1", {"x-who": ""}),
    ):
        assert refusal(api({"raise": "asked"}, path, **headers))[:2] == (
            401,
            "UnauthorizedException",
        )


def test_a_token_is_sent_as_it_is(tokens):
    order = {"Authorization": f"Bearer {json.dumps(ALLOW)}"}
    assert tokens(None, **order)[0] == 200


@pytest.mark.parametrize("token", [None, "", "Bearer x", "bearer {}", "Basic {}"])
def test_a_token_that_does_not_match_never_reaches_the_authorizer(tokens, token):
    headers = {} if token is None else {"Authorization": token}
    assert refusal(tokens(None, **headers))[:2] == (401, "UnauthorizedException")


class TestKeys:
    """With the key source AUTHORIZER, plans apply to the key that the authorizer names."""

    @pytest.fixture(scope="class")
    @classmethod
    def keyed(cls, aws) -> Guarded:
        api = Guarded(aws, "keyed", key=True)
        client = api.api.client
        plan = client.create_usage_plan(
            name="keyed", apiStages=[{"apiId": api.api.id, "stage": "test"}]
        )["id"]
        api.key = client.create_api_key(name="keyed", enabled=True)
        client.create_usage_plan_key(usagePlanId=plan, keyId=api.key["id"], keyType="API_KEY")
        return api

    def test_the_named_key_opens_the_method(self, keyed):
        status, _, event = keyed({**ALLOW, "usageIdentifierKey": keyed.key["value"]})
        assert status == 200
        assert event["requestContext"]["identity"]["apiKeyId"] == keyed.key["id"]

    @pytest.mark.parametrize("named", [{}, {"usageIdentifierKey": "wrong"}])
    def test_the_header_counts_no_longer(self, keyed, named):
        answer = keyed({**ALLOW, **named}, **{"x-api-key": keyed.key["value"]})
        assert refusal(answer) == (403, "ForbiddenException", "Forbidden")

    def test_a_deny_comes_before_the_key(self, keyed):
        answer = keyed({"effect": "Deny", "usageIdentifierKey": keyed.key["value"]})
        assert refusal(answer)[1] == "AccessDeniedException"


def test_the_function_must_let_this_authorizer_invoke_it(aws):
    create_function(aws, "closed", OBEDIENT)
    client = aws.context.client("lambda")
    client.remove_permission(FunctionName="closed", StatementId="apigateway")
    api = Guarded(aws, "closed", function="closed")
    status, kind, _ = refusal(api(ALLOW))
    assert (status, kind) == (500, "AuthorizerConfigurationException")
    source = f"arn:aws:execute-api:us-east-1:{ACCOUNT}:{api.api.id}/authorizers/"
    for statement, authorizer, expected in (("a", "another", 500), ("b", api.authorizer, 200)):
        client.add_permission(
            FunctionName="closed",
            StatementId=statement,
            Action="lambda:InvokeFunction",
            Principal="apigateway.amazonaws.com",
            SourceArn=f"{source}{authorizer}",
        )
        assert api(ALLOW)[0] == expected


def test_a_role_may_stand_for_the_permission(aws):
    service = {"Service": "apigateway.amazonaws.com"}
    arn = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:obedient"
    grant = {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": arn}
    role = make_role(aws.context, "authorizer", service, statements=grant)
    assert Guarded(aws, "by-role", authorizerCredentials=role)(ALLOW)[0] == 200
    role = make_role(aws.context, "powerless", service, statements={**grant, "Resource": f"{arn}x"})
    assert Guarded(aws, "powerless", authorizerCredentials=role)(ALLOW)[0] == 500


def test_a_method_without_its_authorizer_is_misconfigured(aws):
    api = Guarded(aws, "lost")
    api.api.client.delete_authorizer(restApiId=api.api.id, authorizerId=api.authorizer)
    assert api(ALLOW)[0] == 200, "the deployment has its own copy"
    assert api.api.deploy()("POST", "/items/7", {}, {"X-Order": json.dumps(ALLOW)})[0] == 500
