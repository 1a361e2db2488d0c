"""All failures are logged with their requests and answered as the service would answer."""

from __future__ import annotations

import http.client
import json
import logging
import socket
import threading
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError
from werkzeug.serving import ThreadedWSGIServer

from local_aws.context import Context
from local_aws.http_handler import KeepAliveHandler
from local_aws.iam.principals import make_administrator_key
from tests.support.access import sign

NESTED = b"[" * 100_000
FAILURE = "The local AWS failed: ZeroDivisionError: the error"


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    """An AWS that raises at every request."""

    def application(environ, start_response):
        raise ZeroDivisionError("the error")

    server = ThreadedWSGIServer("127.0.0.1", 0, application, KeepAliveHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    context = Context(url, "eu-west-1", tmp_path_factory.mktemp("broken"))
    make_administrator_key(context.account_id, context.state_dir)
    yield context
    server.shutdown()
    server.server_close()


def send(url, method, path, body=b"", headers=None):
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    connection.request(method, path, body=body, headers=headers or {})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    assert b"<html" not in content.lower()
    return answer, content


CALLS = [
    ("s3", "list_buckets", {}, "InternalError", "GET /"),
    ("sts", "get_caller_identity", {}, "InternalFailure", "POST / (GetCallerIdentity)"),
    ("cloudformation", "list_stacks", {}, "InternalFailure", "POST / (ListStacks)"),
    ("ssm", "get_parameter", {"Name": "p"}, "InternalFailure", "POST / (AmazonSSM.GetParameter)"),
    ("sagemaker", "list_models", {}, "InternalFailure", "POST / (SageMaker.ListModels)"),
    ("apigateway", "create_rest_api", {"name": "a"}, "InternalFailure", "POST /restapis"),
]


@pytest.mark.parametrize(("service", "method", "arguments", "code", "request_line"), CALLS)
def test_clients_understand_a_failure(
    broken, caplog, service, method, arguments, code, request_line
):
    with pytest.raises(ClientError) as refused:
        getattr(broken.client(service), method)(**arguments)
    assert refused.value.response["Error"]["Code"] == code
    assert refused.value.response["Error"]["Message"] == FAILURE
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.getMessage() == f"{request_line} failed"
    assert isinstance(record.exc_info[1], ZeroDivisionError)


def test_a_deployed_api_hides_the_error(broken):
    answer, content = send(broken.endpoint_url, "POST", "/execute-api/abc/v1/search", b"{}")
    assert (answer.status, json.loads(content)) == (500, {"message": "Internal server error"})


@pytest.mark.parametrize(
    "target",
    ["SageMaker.CreateModel", "AmazonSSM.PutParameter", "Logs_20140328.CreateLogGroup"],
)
@pytest.mark.parametrize("body", [NESTED, b'{"a":', b"\xff\xfe"])
def test_json_that_cannot_be_parsed_is_the_callers_error(aws, target, body):
    service = {"Sa": "sagemaker", "Am": "ssm", "Lo": "logs"}[target[:2]]
    kind = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": target}
    headers = sign(aws.context, service, "POST", "/", body, kind)
    answer, content = send(aws.endpoint_url, "POST", "/", body, headers)
    assert answer.status == 400
    assert json.loads(content)["__type"]


def test_nested_json_is_the_callers_error_in_rest_apis_too(aws):
    kind = {"Content-Type": "application/json"}
    headers = sign(aws.context, "apigateway", "POST", "/restapis", NESTED, kind)
    answer, content = send(aws.endpoint_url, "POST", "/restapis", NESTED, headers)
    assert answer.status == 400
    assert answer.getheader("x-amzn-ErrorType") == "SerializationException"
    assert json.loads(content)["message"]


@pytest.mark.parametrize("document", [b"[]", b"null", b'"text"', b"1"])
def test_sagemaker_takes_objects_only(aws, document):
    target = {"X-Amz-Target": "SageMaker.CreateModel"}
    headers = sign(aws.context, "sagemaker", "POST", "/", document, target)
    answer, content = send(aws.endpoint_url, "POST", "/", document, headers)
    assert (answer.status, json.loads(content)["__type"]) == (400, "SerializationException")


def test_xml_that_cannot_be_parsed_is_the_callers_error(aws):
    aws.context.client("s3").create_bucket(Bucket="malformed")
    path, body = "/malformed?tagging", b"<Tagging"
    headers = sign(aws.context, "s3", "PUT", path, body)
    answer, content = send(aws.endpoint_url, "PUT", path, body, headers)
    assert answer.status == 400
    assert b"<Code>MalformedXML</Code>" in content


@pytest.mark.parametrize(("method", "path"), [("GET", "/none/such"), ("PUT", "/restapis/a/b/c/d")])
def test_an_unknown_path_is_not_answered_with_a_page(aws, method, path):
    headers = sign(aws.context, "apigateway", method, path)
    answer, content = send(aws.endpoint_url, method, path, b"", headers)
    assert answer.status == 400
    assert answer.getheader("x-amzn-ErrorType") == "UnknownOperationException"
    assert json.loads(content)["message"]


@pytest.mark.parametrize(
    "sent",
    [
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n-5\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcdef\r\n",
        b"Content-Length: many\r\n\r\n",
        b"Content-Length: -1\r\n\r\n",
        b"Content-Length: 2\r\nContent-Length: 0\r\n\r\n{}",
        b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: xchunked\r\n\r\n{}",
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X-Trailer: x\r\n" * 200,
    ],
)
@pytest.mark.parametrize("target", [b"SageMaker.CreateModel", b"AmazonSSM.PutParameter"])
def test_a_malformed_body_ends_the_connection(aws, sent, target):
    address = urlsplit(aws.endpoint_url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        head = b"POST / HTTP/1.1\r\nHost: %s\r\n" % address.netloc.encode()
        connection.sendall(head + b"X-Amz-Target: " + target + b"\r\n" + sent)
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["message"]


@pytest.mark.parametrize(
    "sent",
    [
        b"Content-Length: 5000000\r\n\r\n{}",
        b"Transfer-Encoding: chunked\r\n\r\nFFFFFFF\r\n{}",
        b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
    ],
)
def test_a_body_that_is_cut_off_is_refused(aws, sent):
    """werkzeug's reader of chunks took what lay behind its buffer for the rest, or crashed."""
    address = urlsplit(aws.endpoint_url)
    target = b"X-Amz-Target: AmazonSSM.PutParameter\r\n"
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall(
            b"POST / HTTP/1.1\r\nHost: %s\r\n" % address.netloc.encode() + target + sent
        )
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    "line",
    [b"GET / HTTP/9.9", b'"quoted" \\ <b>', b"GET", b"GET / \x01\xff", b"GET http:// HTTP/1.1"],
)
def test_invalid_http_is_refused_in_json(aws, line):
    address = urlsplit(aws.endpoint_url)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall(line + b"\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        answer = b"".join(iter(lambda: connection.recv(4096), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split()[1] in (b"400", b"403", b"505")
    assert b"quoted" not in head
    assert b"<html" not in answer.lower()
    if b"json" in head:
        assert json.loads(body)["message"]
