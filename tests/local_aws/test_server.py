"""All services at one port: which part answers which request, and connections."""

from __future__ import annotations

import http.client
import threading
from urllib.parse import urlsplit

import pytest

from local_aws.context import Context
from local_aws.iam.calls import Call
from local_aws.iam.principals import make_administrator_key
from local_aws.server import Dispatcher, LocalAws


def answering(name):
    def app(environ, start_response):
        start_response("200 OK", [])
        return [name.encode()]

    return app


PARTS = {name: answering(name) for name in ("cloudformation", "sagemaker", "rest_apis")}


class Calling:
    """A gate that takes each request for a call of one service."""

    def __init__(self, service):
        self.service = service

    def enter(self, environ):
        return Call(self.service, "eu-west-1", "Operation", {})

    def left(self, call):
        pass


def ask(environ, service="", parts=PARTS):
    dispatcher = Dispatcher(Calling(service), answering("moto"), parts)
    own = {"HTTP_HOST": "localhost:4566", "SERVER_PORT": "4566"}
    return b"".join(dispatcher(own | environ, lambda *_: None)).decode()


@pytest.mark.parametrize(
    ("service", "expected"),
    [
        ("cloudformation", "cloudformation"),
        ("sagemaker", "sagemaker"),
        ("sagemaker-runtime", "sagemaker"),
        ("s3", "moto"),
        ("ssm", "moto"),
        ("cloudtrail", '{"Events": []}'),
    ],
)
def test_calls_go_to_their_services(service, expected):
    assert ask({}, service) == expected
    # What the request is signed for decides, whatever else it says.
    assert ask({"HTTP_X_AMZ_TARGET": "SageMaker.CreateModel"}, service) == expected


def test_paths_that_need_no_signature():
    assert ask({"PATH_INFO": "/execute-api/abc/v1/search"}, "s3") == "rest_apis"
    assert ask({"PATH_INFO": "/cloudformation/responses/x"}, "s3") == "cloudformation"
    assert ask({"PATH_INFO": "/cloudformation/"}, "s3") == "moto"


def test_requests_for_a_missing_part_go_to_moto():
    assert ask({}, "sagemaker", {}) == "moto"


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
        # A request without a signature is refused before its body has been read.
        connection.request("PUT", "/kept/unread", body=b"unread" * 1000)
        answer = connection.getresponse()
        assert (answer.status, b"AccessDenied" in answer.read()) == (403, True)
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
    context = Context("http://127.0.0.1:1", "eu-west-1", tmp_path)
    key = make_administrator_key(context.account_id, tmp_path)
    environment = context.environment()
    assert environment["AWS_ENDPOINT_URL"] == "http://127.0.0.1:1"
    assert environment["AWS_REGION"] == environment["AWS_DEFAULT_REGION"] == "eu-west-1"
    assert environment["AWS_ACCESS_KEY_ID"] == key.id
    assert environment["AWS_SECRET_ACCESS_KEY"] == key.secret
