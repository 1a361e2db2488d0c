"""What a hostile web page in a browser on this machine could send, and what must still work."""

from __future__ import annotations

import http.client
import json
from urllib.parse import quote, urlencode, urlsplit

import pytest

from local_aws.lambda_runtime.logs import FunctionLog
from local_aws.lambda_runtime.process import WorkerProcess
from local_aws.server import LocalAws
from local_aws.web_pages import web_page_refusal
from tests.support.access import sign

EVIL = "https://evil.example"
FORM = "application/x-www-form-urlencoded"
TEMPLATE = json.dumps({"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}})
JUNK_SCOPE = "Credential=x/20260101/eu-west-1/{}/aws4_request"


@pytest.fixture(scope="module")
def aws(tmp_path_factory):
    with LocalAws(tmp_path_factory.mktemp("aws"), region="eu-west-1") as running:
        running.context.client("s3").create_bucket(
            Bucket="page-victim", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
        yield running


@pytest.fixture
def victim(aws):
    """A local AWS with an unexecuted change set; fails if the test changes anything."""
    client = aws.context.client("cloudformation")
    change = {"StackName": "waiting", "ChangeSetName": "c"}
    if not client.list_stacks()["StackSummaries"]:
        client.create_change_set(ChangeSetType="CREATE", TemplateBody=TEMPLATE, **change)
        client.get_waiter("change_set_create_complete").wait(**change, WaiterConfig={"Delay": 0.1})
    before = state(aws)
    yield aws
    assert state(aws) == before


def state(aws):
    s3, cloudformation = aws.context.client("s3"), aws.context.client("cloudformation")
    stacks = cloudformation.list_stacks()["StackSummaries"]
    return {
        "buckets": [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]],
        "objects": s3.list_objects_v2(Bucket="page-victim")["KeyCount"],
        "stacks": [(stack["StackName"], stack["StackStatus"]) for stack in stacks],
        "topics": aws.context.client("sns").list_topics()["Topics"],
    }


def send(aws, method, path, body=b"", **headers):
    """Sends a request; `headers` have underscores for dashes."""
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    connection = http.client.HTTPConnection(urlsplit(aws.endpoint_url).netloc)
    connection.request(method, path, body=body, headers=sent)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer, content


def assert_refused(answer, content):
    assert answer.status == 403
    assert answer.getheader("Access-Control-Allow-Origin") is None
    assert not answer.getheader("Content-Type").startswith("text/html")
    assert b"html" not in content


def test_a_form_uploads_nothing_into_a_bucket(victim):
    part = b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
    body = part % (b"key", b"planted.zip") + part % (b"file", b"code") + b"--b--\r\n"
    kind = "multipart/form-data; boundary=b"
    answer, content = send(victim, "POST", "/page-victim", body, Origin=EVIL, Content_Type=kind)
    assert_refused(answer, content)
    assert content.startswith(b"<?xml") and b"<Code>AccessDenied</Code>" in content


QUERIES = [
    {"Action": "CreateChangeSet", "StackName": "s", "ChangeSetName": "c", "ChangeSetType": "CREATE"}
    | {"TemplateBody": TEMPLATE},
    {"Action": "ExecuteChangeSet", "StackName": "waiting", "ChangeSetName": "c"},
    {"Action": "DeleteStack", "StackName": "waiting"},
]


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query["Action"])
@pytest.mark.parametrize("origin", [EVIL, "null", "http://localhost:3000"])
def test_a_form_reaches_no_stack(victim, query, origin):
    path = "/cloudformation/"  # claimed by CloudFormation without a signature
    body = urlencode(query)
    answer, content = send(victim, "POST", path, body, Origin=origin, Content_Type=FORM)
    assert_refused(answer, content)
    assert b"<ErrorResponse>" in content


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query["Action"])
def test_a_link_or_an_image_reaches_no_stack(victim, query, site):
    path = f"/cloudformation/?{urlencode(query)}"
    assert_refused(*send(victim, "GET", path, Sec_Fetch_Site=site))


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1", "localhost"])
@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query["Action"])
def test_a_rebound_domain_reaches_no_stack(victim, query, host):
    headers = {
        "Host": host.format(port=urlsplit(victim.endpoint_url).port),
        "Authorization": f"AWS4-HMAC-SHA256 {JUNK_SCOPE.format('cloudformation')}",
        "Content_Type": FORM,
    }
    assert_refused(*send(victim, "POST", "/", urlencode(query), **headers))


def test_a_rebound_domain_reads_nothing_and_reaches_no_api(victim):
    assert_refused(*send(victim, "GET", "/page-victim", Host="evil.example"))
    answer, content = send(victim, "POST", "/execute-api/abc/v1/search", Host="evil.example")
    assert_refused(answer, content)
    assert json.loads(content)["message"]


def test_a_page_may_not_send_more_than_forms_can(victim):
    asked = {
        "Access_Control_Request_Method": "PUT",
        "Access_Control_Request_Headers": "x-amz-target",
    }
    assert_refused(*send(victim, "OPTIONS", "/page-victim/planted.zip", Origin=EVIL, **asked))
    assert_refused(*send(victim, "PUT", "/page-victim/planted.zip", b"code", Origin=EVIL))
    answer, content = send(
        victim, "POST", "/", b"{}", Origin=EVIL, X_Amz_Target="SageMaker.CreateModel"
    )
    assert_refused(answer, content)
    assert json.loads(content)["__type"] == "AccessDenied"


def test_moto_is_not_reset(victim):
    assert_refused(*send(victim, "POST", "/moto-api/reset", Origin=EVIL))
    assert_refused(*send(victim, "POST", "/moto-api/reset"))


JUNK = {
    "nothing": {},
    "another scheme": {"Authorization": "Bearer abc"},
    "version 2": {"Authorization": "AWS AKIAIOSFODNN7EXAMPLE:frJIUN8DYpKDtOLCwo="},
    "an unknown key": {
        "Authorization": f"AWS4-HMAC-SHA256 {JUNK_SCOPE}, SignedHeaders=host, Signature=00"
    },
}


@pytest.mark.parametrize("junk", JUNK.values(), ids=JUNK.keys())
def test_without_a_signature_nothing_happens_even_outside_of_a_browser(victim, junk):
    """What any program of another user of this machine could send."""
    for service, method, path, body, headers in (
        ("s3", "PUT", "/page-victim/planted.zip", b"code", {}),
        ("s3", "GET", "/page-victim", b"", {}),
        ("s3", "DELETE", "/page-victim", b"", {}),
        ("cloudformation", "POST", "/", urlencode(QUERIES[1]), {"Content-Type": FORM}),
        ("cloudformation", "POST", "/cloudformation/", urlencode(QUERIES[1]), {}),
        ("sagemaker", "POST", "/", b"{}", {"X-Amz-Target": "SageMaker.ListModels"}),
        ("sns", "POST", "/", b"Action=CreateTopic&Name=t", {"Content-Type": FORM}),
        ("lambda", "GET", "/2015-03-31/functions/", b"", {}),
    ):
        signed = {name: value.format(service) for name, value in junk.items()}
        assert_refused(*send(victim, method, path, body, **headers, **signed))


def test_a_signature_is_for_one_request_only(victim):
    target = {"X-Amz-Target": "AmazonSSM.DescribeParameters"}
    headers = sign(victim.context, "ssm", "POST", "/", b"{}", target)
    assert send(victim, "POST", "/", b"{}", **headers)[0].status == 200
    answer, content = send(victim, "POST", "/", b'{"MaxResults": 1}', **headers)
    assert_refused(answer, content)
    assert json.loads(content)["__type"] == "InvalidSignatureException"
    assert_refused(*send(victim, "POST", "/other", b"{}", **headers))
    assert_refused(*send(victim, "GET", "/page-victim", **headers))


def test_the_key_is_made_at_each_start_and_readable_by_nobody_else(tmp_path):
    keys = set()
    for _ in range(2):
        with LocalAws(tmp_path) as running:
            file = tmp_path / "credentials"
            assert file.stat().st_mode & 0o777 == 0o600
            key = running.context.administrator
            assert key.secret in file.read_text()
            keys.add((key.id, key.secret))
    assert len(keys) == 2


@pytest.mark.parametrize("path", [quote("/endpoints/e/invocations"), "//execute-api/a/v1"])
def test_only_deployed_apis_decide_for_themselves(victim, path):
    assert_refused(*send(victim, "POST", path, b"{}", Origin=EVIL))


def test_pages_may_call_a_deployed_api(victim):
    answer, content = send(
        victim, "POST", "/execute-api/absent/v1/x", Origin=EVIL, Sec_Fetch_Site="cross-site"
    )
    assert json.loads(content) == {"message": "Forbidden"}  # the gateway's answer: no such API
    assert answer.getheader("x-amzn-ErrorType") == "ForbiddenException"


def test_clients_use_either_name_and_browsers_may_look(aws):
    port = urlsplit(aws.endpoint_url).port
    for host in (f"127.0.0.1:{port}", f"localhost:{port}", f"LOCALHOST:{port}"):
        headers = sign(aws.context, "s3", "GET", "/page-victim", headers={"Host": host})
        assert send(aws, "GET", "/page-victim", **headers)[0].status == 200
    headers = sign(aws.context, "s3", "GET", "/page-victim")
    assert send(aws, "GET", "/page-victim", Sec_Fetch_Site="none", **headers)[0].status == 200


def test_the_port_of_http_is_left_out():
    assert web_page_refusal({"Host": "localhost"}, "80") is None
    assert web_page_refusal({"Host": "localhost"}, "4566")
    assert web_page_refusal({}, "80")


@pytest.mark.parametrize(
    "headers", [{"Origin": EVIL}, {"Sec-Fetch-Site": "cross-site"}, {"Host": "evil.example"}]
)
def test_a_page_reaches_no_function_either(tmp_path, headers):
    bootstrap = tmp_path / "bootstrap.py"
    bootstrap.write_text("import time; time.sleep(60)")
    log = FunctionLog(tmp_path / "log", lambda lines: None)
    worker = WorkerProcess("handler", tmp_path, {}, tmp_path, log)
    try:
        connection = http.client.HTTPConnection(*worker._listener.getsockname(), timeout=20)
        for method, path in (("GET", "next"), ("POST", "id/response")):
            connection.request(method, f"/2018-06-01/runtime/invocation/{path}", b"", headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 403
        assert worker.receive(0.1) is None
    finally:
        worker.kill()
