"""Who may call an API and how often: API keys, usage plans, throttling, signatures."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from unittest import mock

import botocore.auth
import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local_aws.api_gateway import usage_plans
from local_aws.server import LocalAws
from tests.support.access import ACCOUNT, EVERYTHING, document, local_aws, make_role
from tests.support.gateway import ECHO, Api, Caller, create_function

BODY = b'{"queries": ["one"]}'


@pytest.fixture(scope="module")
def aws(tmp_path_factory) -> Iterator[LocalAws]:
    with local_aws(tmp_path_factory.mktemp("aws")) as started:
        create_function(started, "echo", ECHO)
        yield started


class Keyed:
    """An API whose method requires a key, and a usage plan with a key."""

    def __init__(self, aws: LocalAws, name: str, methods=None, **limits) -> None:
        self.api = Api(aws, name)
        for path in ("/search", "/a/b"):
            self.api.method("POST", path, echo_arn(aws), apiKeyRequired=True)
        self.call = self.api.deploy()
        client = self.client = self.api.client
        stages = [{"apiId": self.api.id, "stage": "test", "throttle": methods or {}}]
        self.plan = client.create_usage_plan(name=name, apiStages=stages, **limits)["id"]
        self.key = client.create_api_key(name=name, enabled=True)
        client.create_usage_plan_key(usagePlanId=self.plan, keyId=self.key["id"], keyType="API_KEY")

    def __call__(self, key: str | None = None, path: str = "/search"):
        headers = {"x-api-key": self.key["value"] if key is None else key}
        return self.call("POST", path, {}, headers if headers["x-api-key"] else {})


def echo_arn(aws: LocalAws) -> str:
    return aws.context.client("lambda").get_function(FunctionName="echo")["Configuration"][
        "FunctionArn"
    ]


@pytest.fixture(scope="module")
def keyed(aws) -> Keyed:
    return Keyed(aws, "keyed")


def test_a_key_of_the_stages_plan_opens_the_method(keyed):
    status, _, event = keyed()
    assert status == 200
    identity = event["requestContext"]["identity"]
    assert identity["apiKey"] == keyed.key["value"]
    assert identity["apiKeyId"] == keyed.key["id"]


@pytest.mark.parametrize("key", ["", "wrong"])
def test_no_key_or_a_wrong_one_is_forbidden(keyed, key):
    status, headers, body = keyed(key)
    assert (status, body) == (403, {"message": "Forbidden"})
    assert headers["x-amzn-errortype"] == "ForbiddenException"


def test_a_key_outside_the_plan_is_forbidden(keyed):
    stranger = keyed.client.create_api_key(name="stranger", enabled=True)["value"]
    assert keyed(stranger)[0] == 403


def test_a_key_of_a_plan_for_another_stage_is_forbidden(aws, keyed):
    assert keyed(Keyed(aws, "neighbour").key["value"])[0] == 403


def test_a_disabled_key_is_forbidden_at_once(aws):
    keyed = Keyed(aws, "disabled")
    change = [{"op": "replace", "path": "/enabled", "value": "false"}]
    assert keyed()[0] == 200
    keyed.client.update_api_key(apiKey=keyed.key["id"], patchOperations=change)
    assert keyed()[0] == 403


class Clock:
    """Replaces the time module in `usage_plans`."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(usage_plans, "time", made)
    return made


def test_a_plans_throttle_lets_the_burst_through_and_then_its_rate(aws, clock):
    keyed = Keyed(aws, "throttled", throttle={"rateLimit": 2.0, "burstLimit": 3})
    assert [keyed()[0] for _ in range(4)] == [200, 200, 200, 429]
    clock.now += 0.5
    status, headers, body = (keyed(), keyed())[1]
    assert (status, body) == (429, {"message": "Too Many Requests"})
    assert headers["x-amzn-errortype"] == "TooManyRequestsException"
    clock.now += 60
    assert [keyed()[0] for _ in range(4)] == [200, 200, 200, 429]


def test_a_plan_limits_a_method_for_each_key(aws, clock):
    methods = {"/a/b/POST": {"rateLimit": 1.0, "burstLimit": 2}}
    keyed = Keyed(aws, "one-method", methods)
    another = keyed.client.create_api_key(name="another", enabled=True)
    keyed.client.create_usage_plan_key(
        usagePlanId=keyed.plan, keyId=another["id"], keyType="API_KEY"
    )
    assert [keyed(path="/a/b")[0] for _ in range(3)] == [200, 200, 429]
    assert [keyed()[0] for _ in range(3)] == [200, 200, 200]
    assert keyed(another["value"], "/a/b")[0] == 200


def test_a_quota_ends_with_its_period(aws, clock, monkeypatch):
    class Calendar(datetime):
        today_is = datetime(2026, 11, 30, 23, 59, tzinfo=UTC)

        @classmethod
        def now(cls, tz=None):
            return cls.today_is

    monkeypatch.setattr(usage_plans, "datetime", Calendar)
    keyed = Keyed(aws, "quota", quota={"limit": 2, "period": "MONTH"})
    assert [keyed()[0] for _ in range(2)] == [200, 200]
    status, headers, body = keyed()
    assert (status, body) == (429, {"message": "Limit Exceeded"})
    assert headers["x-amzn-errortype"] == "LimitExceededException"
    Calendar.today_is = datetime(2026, 12, 1, tzinfo=UTC)
    assert keyed()[0] == 200


def test_the_stages_throttle_holds_for_each_method_by_itself(aws, clock):
    api = Api(aws, "stage-throttled")
    for verb in ("GET", "POST"):
        api.method(verb, "/a/b", echo_arn(aws))
    call = api.deploy()
    api.patch_stage(("/*/*/throttling/rateLimit", "1"), ("/*/*/throttling/burstLimit", "1"))
    assert [call("GET", "/a/b")[0] for _ in range(2)] == [200, 429]
    assert call("POST", "/a/b")[0] == 200
    own = "/~1a~1b/GET/throttling"
    api.patch_stage((f"{own}/rateLimit", "5"), (f"{own}/burstLimit", "3"))
    assert [call("GET", "/a/b")[0] for _ in range(4)] == [200, 200, 200, 429]
    assert call("POST", "/a/b")[0] == 429


@pytest.fixture(scope="module")
def signed(aws) -> Caller:
    api = Api(aws, "signed")
    api.method("POST", "/search", echo_arn(aws), authorizationType="AWS_IAM")
    api.method("POST", "/{name}", echo_arn(aws), authorizationType="AWS_IAM")
    return api.deploy()


def request_of(
    caller: Caller, path: str = "/search", body: bytes = BODY, **headers: str
) -> AWSRequest:
    url = f"http://{caller.host}{caller.base}{path}"
    return AWSRequest("POST", url, data=body, headers={"Host": caller.host, **headers})


def send(caller: Caller, request: AWSRequest, body: bytes | None = None, path: str = ""):
    target = request.url.removeprefix(f"http://{caller.host}{caller.base}")
    data = request.data if body is None else body
    return caller("POST", path or target, data, dict(request.headers))


@pytest.fixture(scope="module")
def sign(aws):
    def sign(request: AWSRequest, credentials=None, service="execute-api", region="us-east-1"):
        SigV4Auth(credentials or local(aws), service, region).add_auth(request)
        return request

    return sign


def local(aws: LocalAws) -> Credentials:
    """Those of the administrator."""
    key = aws.context.administrator
    return Credentials(key.id, key.secret)


@pytest.mark.parametrize(
    "path",
    [
        "/search",
        "/search?b=2&a=1&a=0",
        "/search?empty=&q=%D0%BF%20x",
        "/with%20space",
        "/%D0%BF%2Fx",
    ],
)
def test_a_signature_of_the_local_credentials_holds(sign, aws, signed, path):
    headers = {"Content-Type": "application/json", "X-Amz-Meta": "  two   spaces "}
    status, _, event = send(signed, sign(request_of(signed, path, **headers)))
    assert status == 200
    identity = event["requestContext"]["identity"]
    assert identity["accessKey"] == aws.context.administrator.id
    assert identity["userArn"] == "arn:aws:iam::123456789012:user/administrator"


def test_without_a_signature_the_authentication_token_is_missing(signed):
    status, headers, body = signed("POST", "/search", BODY)
    assert (status, body) == (403, {"message": "Missing Authentication Token"})
    assert headers["x-amzn-errortype"] == "MissingAuthenticationTokenException"


def refused(answer, error_type: str, text: str) -> None:
    status, headers, body = answer
    assert status == 403
    assert headers["x-amzn-errortype"] == error_type
    assert text in body["message"]


def test_another_body_path_or_query_than_signed_is_refused(sign, signed):
    mismatch = ("InvalidSignatureException", "does not match the signature you provided")
    refused(send(signed, sign(request_of(signed)), body=b"{}"), *mismatch)
    refused(send(signed, sign(request_of(signed)), path="/other"), *mismatch)
    refused(send(signed, sign(request_of(signed)), path="/search?a=1"), *mismatch)
    changed = sign(request_of(signed, **{"X-Amz-Meta": "1"}))
    changed.headers.replace_header("X-Amz-Meta", "2")
    refused(send(signed, changed), *mismatch)


def test_a_stated_body_hash_must_be_the_bodys(sign, signed):
    request = sign(request_of(signed, **{"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"}))
    refused(send(signed, request), "InvalidSignatureException", "does not match")


def test_a_wrong_secret_and_an_unknown_key_are_refused(sign, aws, signed):
    wrong = sign(request_of(signed), Credentials(local(aws).access_key, "wrong"))
    refused(send(signed, wrong), "InvalidSignatureException", "does not match the signature")
    unknown = sign(request_of(signed), Credentials("AKIAUNKNOWN", "x"))
    refused(send(signed, unknown), "UnrecognizedClientException", "security token")


@pytest.mark.parametrize(("minutes", "text"), [(-6, "expired"), (6, "not yet current")])
def test_a_signature_holds_for_5_minutes(sign, signed, minutes, text):
    at = datetime.now(UTC).replace(tzinfo=None) + timedelta(minutes=minutes)
    with mock.patch.object(botocore.auth, "get_current_datetime", lambda: at):
        request = sign(request_of(signed))
    refused(send(signed, request), "InvalidSignatureException", text)


def test_another_region_or_service_is_refused(sign, signed):
    elsewhere = sign(request_of(signed), region="eu-west-1")
    refused(send(signed, elsewhere), "InvalidSignatureException", "valid region")
    other = sign(request_of(signed), service="s3")
    refused(send(signed, other), "InvalidSignatureException", "correct service: 'execute-api'")


@pytest.mark.parametrize(
    "header", ["Bearer abc", "AWS4-HMAC-SHA256 nonsense", "AWS4-HMAC-SHA256 Credential=a/b"]
)
def test_an_authorization_of_another_form_is_incomplete(signed, header):
    answer = signed("POST", "/search", BODY, {"Authorization": header})
    refused(answer, "IncompleteSignatureException", "Authorization header requires")


def test_a_presigned_url_holds_until_it_expires(aws, signed):
    request = request_of(signed, body=b"")
    SigV4QueryAuth(local(aws), "execute-api", "us-east-1", expires=60).add_auth(request)
    assert send(signed, request)[0] == 200
    at = datetime.now(UTC).replace(tzinfo=None) - timedelta(seconds=90)
    late = request_of(signed, body=b"")
    with mock.patch.object(botocore.auth, "get_current_datetime", lambda: at):
        SigV4QueryAuth(local(aws), "execute-api", "us-east-1", expires=60).add_auth(late)
    refused(send(signed, late), "InvalidSignatureException", "expired")


def test_credentials_of_an_assumed_role_hold_with_their_session_token(sign, aws, signed):
    role = make_role(aws.context, "api-caller", {"AWS": ACCOUNT})
    given = aws.context.client("sts").assume_role(RoleArn=role, RoleSessionName="tests")[
        "Credentials"
    ]
    keys = given["AccessKeyId"], given["SecretAccessKey"]
    full = sign(request_of(signed), Credentials(*keys, given["SessionToken"]))
    status, _, event = send(signed, full)
    assert status == 200
    identity = event["requestContext"]["identity"]
    assert identity["userArn"] == "arn:aws:sts::123456789012:assumed-role/api-caller/tests"
    assert identity["accountId"] == "123456789012"
    without = sign(request_of(signed), Credentials(*keys))
    refused(send(signed, without), "UnrecognizedClientException", "security token")
    later = datetime.now(UTC) + timedelta(hours=2)
    request = sign(request_of(signed), Credentials(*keys, given["SessionToken"]))
    module = "local_aws.iam.signature"
    with mock.patch(f"{module}._now", lambda: later), mock.patch(f"{module}._check_time"):
        answer = send(signed, request)
    refused(answer, "ExpiredTokenException", "expired")


def test_a_caller_needs_permission_for_the_method(sign, aws, signed):
    iam = aws.context.client("iam")
    iam.create_user(UserName="reader")
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    credentials = Credentials(key["AccessKeyId"], key["SecretAccessKey"])
    api = signed.base.split("/")[2]
    answer = send(signed, sign(request_of(signed), credentials))
    message = (
        "User: arn:aws:iam::123456789012:user/reader is not authorized to perform: "
        f"execute-api:Invoke on resource: arn:aws:execute-api:us-east-1:********9012:{api}/test"
        "/POST/search because no identity-based policy allows the execute-api:Invoke action"
    )
    refused(answer, "AccessDeniedException", message)
    arn = f"arn:aws:execute-api:us-east-1:{ACCOUNT}:{api}/test/POST/search"
    allowed = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": arn}
    iam.put_user_policy(UserName="reader", PolicyName="call", PolicyDocument=document(allowed))
    assert send(signed, sign(request_of(signed), credentials))[0] == 200
    refused(send(signed, sign(request_of(signed, "/x"), credentials)), "AccessDeniedException", "")


def test_a_method_needs_permission_to_invoke_its_function(aws):
    api = Api(aws, "without-permission")
    function = create_function(aws, "unpermitted", ECHO)
    api.method("GET", "/", function)
    call = api.deploy()
    assert call("GET", "/")[0] == 200
    aws.context.client("lambda").remove_permission(
        FunctionName="unpermitted", StatementId="apigateway"
    )
    assert call("GET", "/")[0] == 500


def test_an_iam_users_key_holds_while_it_is_active(sign, aws, signed):
    iam = aws.context.client("iam")
    iam.create_user(UserName="caller")
    iam.put_user_policy(UserName="caller", PolicyName="call", PolicyDocument=document(EVERYTHING))
    key = iam.create_access_key(UserName="caller")["AccessKey"]
    credentials = Credentials(key["AccessKeyId"], key["SecretAccessKey"])
    assert send(signed, sign(request_of(signed), credentials))[0] == 200
    iam.update_access_key(UserName="caller", AccessKeyId=key["AccessKeyId"], Status="Inactive")
    refused(
        send(signed, sign(request_of(signed), credentials)),
        "UnrecognizedClientException",
        "security token",
    )
