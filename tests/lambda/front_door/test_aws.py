"""The front door's calls to AWS, before servers that behave badly."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from front_door.aws import AWS_ERRORS, MAX_ANSWER_BYTES, Aws
from stage.bundles import ROOT
from tests.support.front_door import Reply, running_aws


@pytest.fixture
def fake():
    with running_aws() as fake:
        fake.reply("x", Reply(b"[]"))
        yield fake


@pytest.fixture
def aws(fake):
    return Aws()


def test_a_connection_is_kept_also_after_a_refusal(aws, fake):
    fake.reply("x", Reply.error(400, "ValidationError", Message="no"), Reply(b"[]"))
    with pytest.raises(AWS_ERRORS, match=r"ValidationError.*: no"):
        aws.invoke("x", b"{}", 5)
    assert aws.invoke("x", b"{}", 5) == b"[]"
    assert fake.connections == 1


def test_threads_have_separate_connections(aws, fake):
    together = threading.Barrier(3)

    def reply(_):
        together.wait(5)
        return Reply(b"[]")

    fake.reply("x", reply)
    for _ in range(2):
        threads = [threading.Thread(target=aws.invoke, args=("x", b"{}", 5)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert fake.connections == 3, "and the next three requests find them open"


def test_a_late_answer_goes_to_nobody(aws, fake):
    fake.reply("x", Reply(b'"late"', silent_seconds=0.2), Reply(b'"right"'))
    with pytest.raises(TimeoutError):
        aws.invoke("x", b"{}", 0.05)
    assert aws.invoke("x", b"{}", 5) == b'"right"'


@pytest.mark.parametrize(
    "reply",
    [
        Reply(b"[]", drip="headers"),
        Reply(b'["a long answer"]', drip="body"),
        Reply(b'{"Message": "a long error"}', 500, "InternalFailure", drip="body"),
    ],
    ids=["headers", "body", "error"],
)
def test_an_answer_that_drips_is_cut_off(aws, fake, reply):
    fake.reply("x", reply)
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        aws.invoke("x", b"{}", 0.5)
    assert time.monotonic() - began < 1


@pytest.mark.parametrize(("more", "taken"), [(0, True), (1, False)])
def test_an_answer_is_as_long_as_the_model_server_allows(aws, fake, more, taken):
    fake.reply("x", Reply(b"1" * (MAX_ANSWER_BYTES + more)), Reply(b"[]"))
    if taken:
        assert len(aws.invoke("x", b"{}", 20)) == MAX_ANSWER_BYTES
    else:
        with pytest.raises(ValueError, match="more than"):
            aws.invoke("x", b"{}", 20)
    assert aws.invoke("x", b"{}", 5) == b"[]"


def test_an_error_nested_deeply(aws, fake):
    fake.reply("x", Reply(b"[" * 100_000, 500, "InternalFailure"))
    with pytest.raises(ValueError, match="nested"):
        aws.invoke("x", b"{}", 5)


def test_nobody_listens():
    with running_aws(), socket.socket() as taken, pytest.MonkeyPatch.context() as patch:
        taken.bind(("127.0.0.1", 0))
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(AWS_ERRORS, match="connect"):
            Aws().invoke("x", b"{}", 5)


@pytest.fixture
def answering():
    """A service that sends these bytes, each on its own connection, then closes it."""

    def start(*answers: bytes):
        listener = socket.create_server(("127.0.0.1", 0))

        def serve():
            with listener:
                for answer in answers:
                    connection, _ = listener.accept()
                    with connection:
                        connection.recv(65536)
                        connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{listener.getsockname()[1]}")
        return Aws()

    with running_aws(), pytest.MonkeyPatch.context() as patch:
        yield start


def http(body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def test_a_connection_closed_while_idle_is_not_asked(answering):
    aws = answering(http(b"1"), http(b"2"))
    assert [aws.invoke("x", b"{}", 5) for _ in range(2)] == [b"1", b"2"]


@pytest.mark.parametrize(
    "answer", [b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut"]
)
def test_a_broken_answer_is_an_error(answering, answer):
    with pytest.raises(AWS_ERRORS):
        answering(answer).invoke("x", b"{}", 5)


def test_a_parameter(answering, monkeypatch):
    # On a busy machine two seconds can pass; that calls end in time is tested above.
    monkeypatch.setattr("front_door.aws._PARAMETER_SECONDS", 30)
    value = http(json.dumps({"Parameter": {"Value": "on"}}).encode())
    missing = http(b'{"__type": "ns#ParameterNotFound", "message": "?"}', "400 Bad Request")
    aws = answering(value, missing, http(b"{}"))
    assert aws.parameter("/a") == "on"
    with pytest.raises(AWS_ERRORS, match="ParameterNotFound"):
        aws.parameter("/b")
    with pytest.raises(AWS_ERRORS):
        aws.parameter("/c")


# Each would take from a twentieth to a quarter of a cold start.
EXPENSIVE = {
    "boto3",
    "aws_lambda_powertools.event_handler.middlewares.openapi_validation",
    "aws_lambda_powertools.event_handler.openapi.dependant",
    "aws_lambda_powertools.event_handler.openapi.models",
    "pydantic.v1",
    "email_validator",
}


def test_a_cold_start_imports_nothing_expensive():
    code = "import sys, json, front_door.handler; print(json.dumps(sorted(sys.modules)))"
    with running_aws():
        path = ":".join(map(str, (ROOT / "lambda", ROOT)))
        found = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    assert not EXPENSIVE & set(json.loads(found.splitlines()[-1]))
