"""All services at one port: which part answers which request, and connections."""

from __future__ import annotations

import http.client
import threading
from urllib.parse import urlsplit

import pytest

from local_aws.context import Context
from local_aws.server import Dispatcher, LocalAws


def answering(name):
    def app(environ, start_response):
        start_response("200 OK", [])
        return [name.encode()]

    return app


PARTS = {name: answering(name) for name in ("cloudformation", "sagemaker", "rest_apis")}


def ask(environ, parts=PARTS):
    dispatcher = Dispatcher(answering("moto"), parts)
    own = {"HTTP_HOST": "localhost:4566", "SERVER_PORT": "4566"}
    return b"".join(dispatcher(own | environ, lambda *_: None)).decode()


def signed(service):
    scope = f"local/20260101/eu-west-1/{service}/aws4_request"
    return f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=x"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"HTTP_AUTHORIZATION": signed("cloudformation")}, "cloudformation"),
        ({"PATH_INFO": "/cloudformation/responses/x"}, "cloudformation"),
        ({"HTTP_X_AMZ_TARGET": "SageMaker.CreateModel"}, "sagemaker"),
        ({"PATH_INFO": "/endpoints/e/invocations"}, "sagemaker"),
        ({"PATH_INFO": "/execute-api/abc/v1/search"}, "rest_apis"),
        ({"HTTP_AUTHORIZATION": signed("s3"), "PATH_INFO": "/bucket/key"}, "moto"),
        ({"HTTP_X_AMZ_TARGET": "AmazonSSM.GetParameter"}, "moto"),
        ({}, "moto"),
        (
            {"HTTP_X_AMZ_TARGET": "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.Lookup"},
            '{"Events": []}',
        ),
    ],
)
def test_dispatch(environ, expected):
    assert ask(environ) == expected


def test_requests_for_a_missing_part_go_to_moto():
    assert ask({"HTTP_X_AMZ_TARGET": "SageMaker.CreateModel"}, {}) == "moto"


@pytest.fixture(scope="module")
def aws(tmp_path_factory):
    with LocalAws(tmp_path_factory.mktemp("aws"), region="eu-west-1") as running:
        yield running


def test_clients_are_shared_and_know_the_region(aws):
    context = aws.context
    assert context.client("s3") is context.client("s3")
    assert context.client("s3", "us-west-2").meta.region_name == "us-west-2"
    assert context.client("sts").get_caller_identity()["Account"] == context.account_id


def test_objects_come_back_as_they_went(aws):
    s3 = aws.context.client("s3")
    s3.create_bucket(Bucket="kept", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    body = bytes(range(256)) * 40_000
    s3.put_object(Bucket="kept", Key="a b/ä+%20", Body=body, Metadata={"with_underscore": "v"})
    found = s3.get_object(Bucket="kept", Key="a b/ä+%20")
    assert found["Body"].read() == body
    assert found["Metadata"] == {"with_underscore": "v"}
    assert s3.head_object(Bucket="kept", Key="a b/ä+%20")["ContentLength"] == len(body)


def test_a_connection_serves_many_requests_even_when_bodies_are_left_unread(aws):
    connection = http.client.HTTPConnection(urlsplit(aws.endpoint_url).netloc)
    connection.connect()
    socket = connection.sock
    for _ in range(3):
        headers = {"X-Amz-Target": "CloudTrail.LookupEvents"}  # its answer reads no body
        connection.request("POST", "/", body=b"unread" * 1000, headers=headers)
        assert connection.getresponse().read() == b'{"Events": []}'
    assert connection.sock is socket
    connection.close()


def test_stop_ends_the_server_and_its_threads(tmp_path):
    before = set(threading.enumerate())
    aws = LocalAws(tmp_path).start()
    aws.context.client("s3").list_buckets()
    aws.stop()
    serving = [t for t in set(threading.enumerate()) - before if t.name == "local-aws"]
    assert serving == []
    with pytest.raises(OSError):
        http.client.HTTPConnection(urlsplit(aws.endpoint_url).netloc, timeout=1).connect()


def test_any_sdk_in_a_child_process_comes_here(tmp_path):
    environment = Context("http://127.0.0.1:1", "eu-west-1", tmp_path).environment()
    assert environment["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1"
    assert environment["AWS_REGION"] == environment["AWS_DEFAULT_REGION"] == "eu-west-1"
    assert environment["AWS_ACCESS_KEY_ID"]
