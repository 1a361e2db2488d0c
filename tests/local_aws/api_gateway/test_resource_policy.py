"""Resource policies of APIs: by whom, from which account and through which VPC endpoint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local_aws.server import LocalAws
from tests.support.access import ACCOUNT, document, local_aws
from tests.support.gateway import ECHO, Api, Caller, create_function

FUNCTION = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:"
# It must not be asked where a policy denies already.
ALLOWS = """
def handler(event, context):
    if "X-Unasked" in event["headers"]:
        raise Exception("asked")
    return {"principalId": "me", "policyDocument": {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": event["methodArn"]}]}}
"""


@pytest.fixture(scope="module")
def aws(tmp_path_factory) -> Iterator[LocalAws]:
    with local_aws(tmp_path_factory.mktemp("aws")) as started:
        create_function(started, "echo", ECHO)
        create_function(started, "allows", ALLOWS)
        yield started


def statement(effect: str, principal: Any, *paths: str, **condition: Any) -> dict[str, Any]:
    return {
        "Effect": effect,
        "Principal": principal,
        "Action": "execute-api:Invoke",
        "Resource": [f"execute-api:/test/{path}" for path in paths or ("*",)],
        **({"Condition": condition} if condition else {}),
    }


def user(aws: LocalAws, name: str, *statements: Mapping[str, Any]) -> Credentials:
    iam = aws.context.client("iam")
    iam.create_user(UserName=name)
    allowed = statements or [
        {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": "*"},
    ]
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document(*allowed))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return Credentials(key["AccessKeyId"], key["SecretAccessKey"])


def send(call: Caller, credentials: Credentials | None = None, verb: str = "GET", path: str = "/"):
    request = AWSRequest(verb, f"http://{call.host}{call.base}{path}", {"Host": call.host})
    if credentials:
        SigV4Auth(credentials, "execute-api", "us-east-1").add_auth(request)
    return call(verb, path, None, dict(request.headers))[0]


def open_api(aws: LocalAws, name: str, *statements: Mapping[str, Any], **options: Any) -> Api:
    api = Api(aws, name, **({"policy": document(*statements)} if statements else {}), **options)
    for path in ("/open", "/closed"):
        api.method("GET", path, f"{FUNCTION}echo")
    return api


def signed_api(aws: LocalAws, name: str, *statements: Mapping[str, Any]) -> Caller:
    api = Api(aws, name, policy=document(*statements))
    for verb in ("GET", "DELETE"):
        api.method(verb, "/batch/{id}", f"{FUNCTION}echo", authorizationType="AWS_IAM")
    return api.deploy()


def test_a_method_without_authorization_needs_an_allowance(aws):
    call = open_api(aws, "open", statement("Allow", "*", "GET/open")).deploy()
    assert (send(call, path="/open"), send(call, path="/closed")) == (200, 403)


def test_a_changed_policy_needs_a_deployment(aws):
    api = open_api(aws, "changed")
    call = api.deploy()
    assert send(call, path="/closed") == 200
    change = {"op": "replace", "path": "/policy", "value": document(statement("Deny", "*"))}
    api.client.update_rest_api(restApiId=api.id, patchOperations=[change])
    assert send(call, path="/closed") == 200
    assert send(api.deploy(), path="/closed") == 403


@pytest.mark.parametrize(("account", "status"), [(ACCOUNT, 200), ("210987654321", 403)])
def test_only_principals_of_some_accounts_are_let_in(aws, account, status):
    other = {"StringNotEquals": {"aws:PrincipalAccount": [account]}}
    call = signed_api(aws, f"of-{account}", statement("Deny", "*", **other))
    caller = user(aws, f"of-{account}")
    assert send(call, caller, path="/batch/1") == status


@pytest.mark.parametrize(
    ("principal", "status"),
    [({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, 403), ("*", 200)],
)
def test_an_account_is_no_permission_of_its_users_but_everybody_is(aws, principal, status):
    name = f"union-{status}"
    call = signed_api(aws, name, statement("Allow", principal))
    nothing = {"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}
    assert send(call, user(aws, name, nothing), path="/batch/1") == status
    assert send(call, path="/batch/1") == 403, "nobody signed"


def test_policies_of_users_tell_methods_apart(aws):
    call = signed_api(aws, "methods", statement("Deny", "*", "POST/*"))
    reader = {
        "Effect": "Allow",
        "Action": "execute-api:Invoke",
        "Resource": f"arn:aws:execute-api:us-east-1:{ACCOUNT}:*/test/GET/batch/*",
    }
    caller = user(aws, "looks-at-batches", reader)
    assert send(call, caller, path="/batch/1") == 200
    assert send(call, caller, "DELETE", "/batch/1") == 403


def through(call: Caller, endpoint: str) -> Caller:
    _, kind, api, stage = call.base.split("/")
    return Caller(call_aws(call), f"/{kind}/{api}-{endpoint}/{stage}")


def call_aws(call: Caller) -> Any:
    class Place:
        endpoint_url = f"http://{call.host}"

    return Place


def test_a_private_api_answers_the_endpoints_of_its_policy(aws):
    others = {"StringNotEquals": {"aws:SourceVpce": ["vpce-1", "vpce-2"]}}
    api = open_api(
        aws,
        "private",
        statement("Deny", "*", **others),
        statement("Allow", "*"),
        endpointConfiguration={"types": ["PRIVATE"], "vpcEndpointIds": ["vpce-1"]},
    )
    call = api.deploy()
    assert send(call, path="/open") == 200, "from this machine it is the first one"
    assert send(through(call, "vpce-2"), path="/open") == 200
    assert send(through(call, "vpce-3"), path="/open") == 403


def test_other_apis_answer_no_endpoint(aws):
    call = open_api(aws, "public").deploy()
    assert send(through(call, "vpce-1"), path="/open") == 403
    private = open_api(aws, "no-endpoint", endpointConfiguration={"types": ["PRIVATE"]}).deploy()
    assert send(private, path="/open") == 403


def test_what_a_policy_denies_asks_no_authorizer(aws):
    denied = statement("Deny", "*", "GET/denied")
    api = Api(aws, "authorizer", policy=document(denied))
    authorizer = api.client.create_authorizer(
        restApiId=api.id,
        name="allows",
        type="REQUEST",
        authorizerUri="arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/"
        f"{FUNCTION}allows/invocations",
        authorizerResultTtlInSeconds=0,
    )["id"]
    for path in ("/denied", "/other"):
        api.method(
            "GET",
            path,
            f"{FUNCTION}echo",
            authorizationType="CUSTOM",
            authorizerId=authorizer,
        )
    call = api.deploy()
    assert call("GET", "/denied", None, {"X-Unasked": "1"})[0] == 403
    assert call("GET", "/other")[0] == 200, "the authorizer's allowance suffices"
    assert call("GET", "/other", None, {"X-Unasked": "1"})[0] == 500
