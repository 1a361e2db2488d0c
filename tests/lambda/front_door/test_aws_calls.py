"""The front door's own calls to AWS, against botocore's and a server that behaves badly."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from datetime import UTC, datetime

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.session import Session
from hypothesis import given, settings
from hypothesis import strategies as st

from stage.bundles import ROOT
from tests.support.front_door import (
    ENVIRONMENT,
    Reply,
    module,
    running_sagemaker,
)

calls = module("aws_calls")
signature = module("signature")


@pytest.fixture(scope="module")
def session():
    return Session()


KEYS = st.text("abcABC123/+=", min_size=1, max_size=40)
NAMES = st.from_regex(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}", fullmatch=True)


@settings(max_examples=100, deadline=None)
@given(
    service=st.sampled_from(["sagemaker", "ssm"]),
    path=st.one_of(NAMES.map("/endpoints/{}/invocations".format), st.just("/"), st.just("/a%20b")),
    body=st.binary(max_size=100),
    token=st.none() | KEYS,
    key=KEYS,
    now=st.datetimes(min_value=datetime(2020, 1, 1), timezones=st.just(UTC)),
)
def test_the_signature_is_botocores(service, path, body, token, key, now):
    headers = {"content-type": "application/json", "accept": "application/json"}
    host = f"{service}.eu-west-1.amazonaws.com"
    signer = signature.Signer(service, "eu-west-1", signature.Credentials("AKID", key, token))
    signed = signer.signed(host, path, headers, body, now)

    theirs = AWSRequest("POST", f"https://{host}{path}", headers=headers, data=body)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.auth.get_current_datetime", lambda: now.replace(tzinfo=None))
        SigV4Auth(Credentials("AKID", key, token), service, "eu-west-1").add_auth(theirs)
    assert signed["authorization"] == theirs.headers["Authorization"]


@pytest.mark.parametrize(
    "region",
    [
        *("eu-west-1", "us-east-1", "af-south-1", "us-gov-west-1", "cn-north-1", "eusc-de-east-1"),
        *("us-iso-east-1", "us-isob-east-1", "us-isof-south-1", "eu-isoe-west-1"),
    ],
)
def test_hosts_are_botocores(session, region):
    variables = {**ENVIRONMENT, "AWS_REGION": region}
    for name, ours in (("ssm", calls.Parameters), ("sagemaker-runtime", calls.SageMakerRuntime)):
        client = session.create_client(name, region_name=region)
        assert client.meta.endpoint_url == f"https://{ours(variables)._service.host}"


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME"])
def test_the_environment_may_lead_elsewhere(name):
    found = calls.SageMakerRuntime(ENVIRONMENT | {name: "http://127.0.0.1:4566"})
    assert found._service.host == "127.0.0.1:4566"


def test_secrets_are_not_shown():
    assert "test" not in repr(signature.Credentials("AKID", "test", "test"))


@pytest.fixture
def sagemaker():
    with running_sagemaker() as fake:
        fake.reply("x", Reply(b"[]"))
        yield fake


@pytest.fixture
def runtime(sagemaker):
    return calls.SageMakerRuntime(ENVIRONMENT | {"AWS_ENDPOINT_URL": sagemaker.url})


def test_a_connection_is_kept_also_after_a_refusal(runtime, sagemaker):
    sagemaker.reply("x", Reply.error(400, "ValidationError", Message="no"), Reply(b"[]"))
    with pytest.raises(calls.RefusedError, match=r"ValidationError \(400\): no"):
        runtime.invoke("x", b"{}", 5)
    assert runtime.invoke("x", b"{}", 5) == b"[]"
    assert sagemaker.connections == 1


def test_threads_have_connections_of_their_own(runtime, sagemaker):
    together = threading.Barrier(3)

    def reply(_):
        together.wait(5)
        return Reply(b"[]")

    sagemaker.reply("x", reply)
    for _ in range(2):
        threads = [threading.Thread(target=runtime.invoke, args=("x", b"{}", 5)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sagemaker.connections == 3, "and the next three requests find them open"


def test_a_connection_that_timed_out_is_not_used_again(runtime, sagemaker):
    sagemaker.reply("x", Reply(b'"late"', silent_seconds=0.2), Reply(b'"right"'))
    with pytest.raises(calls.TimedOutError):
        runtime.invoke("x", b"{}", 0.05)
    assert runtime.invoke("x", b"{}", 5) == b'"right"'


def test_nobody_listens():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        runtime = calls.SageMakerRuntime(ENVIRONMENT | {"AWS_ENDPOINT_URL": url})
        with pytest.raises(calls.NoAnswerError):
            runtime.invoke("x", b"{}", 5)


def answering(*answers: bytes):
    """A service that sends these bytes, each on a connection of its own, then closes it."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        with listener:
            for answer in answers:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

    threading.Thread(target=serve, daemon=True).start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def http(body: bytes, status: str = "200 OK") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def test_a_connection_closed_while_idle_is_not_asked():
    url = answering(http(b"1"), http(b"2"))
    runtime = calls.SageMakerRuntime(ENVIRONMENT | {"AWS_ENDPOINT_URL": url})
    assert [runtime.invoke("x", b"{}", 5) for _ in range(2)] == [b"1", b"2"]


@pytest.mark.parametrize(
    "answer", [b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut"]
)
def test_what_is_not_a_whole_answer_is_none(answer):
    runtime = calls.SageMakerRuntime(ENVIRONMENT | {"AWS_ENDPOINT_URL": answering(answer)})
    with pytest.raises(calls.NoAnswerError):
        runtime.invoke("x", b"{}", 5)


def test_a_parameter():
    answer = http(json.dumps({"Parameter": {"Value": "on"}}).encode())
    missing = http(b'{"__type": "ns#ParameterNotFound", "message": "?"}', "400 Bad Request")
    url = answering(answer, missing, http(b"{}"))
    parameters = calls.Parameters(ENVIRONMENT | {"AWS_ENDPOINT_URL": url})
    assert parameters.value("/a") == "on"
    with pytest.raises(calls.RefusedError) as refused:
        parameters.value("/b")
    assert (refused.value.code, refused.value.status) == ("ParameterNotFound", 400)
    with pytest.raises(calls.NoAnswerError):
        parameters.value("/c")


def test_certificates_are_checked():
    context = calls._tls()
    assert context.check_hostname
    assert context.verify_mode.name == "CERT_REQUIRED"


# Each would take from a twentieth to a half of a cold start.
EXPENSIVE = {
    "boto3",
    "botocore.compat",  # with almost anything of it; Powertools itself imports the bare package
    "urllib3",
    "asyncio",
    "concurrent.futures",
    "aws_lambda_powertools.event_handler",
    "aws_lambda_powertools.utilities.data_classes",
    "pydantic.v1",
    "pydantic.networks",
    "email_validator",
}


def test_a_cold_start_imports_nothing_expensive():
    code = "import sys, json, front_door.handler; print(json.dumps(sorted(sys.modules)))"
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={**ENVIRONMENT, "PYTHONPATH": str(ROOT / "lambda"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert not EXPENSIVE & set(json.loads(found.splitlines()[-1]))
