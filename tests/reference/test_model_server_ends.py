"""How the real server ends when a load fails or a process is lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time

import pytest

from tests.reference.model_server import JSON, SERVERS, ModelServer, ask
from tests.support.container import flip_last_byte

SEVERAL = {name: workers for name, workers in SERVERS.items() if name != "one worker"}
ENCODER = "container.encoder.process"


def assert_server_ends(server, words):
    """The ping may answer while the worker loads, but not afterwards."""
    server.wait(lambda: "Ending the server" in server.log, "the load to fail")
    assert words in server.log
    server.wait(lambda: server.ping() is None, "the ping to stop", seconds=5)
    until = time.monotonic() + 4
    while time.monotonic() < until:
        assert server.ping() is None
        time.sleep(0.2)


@pytest.mark.parametrize("workers", SERVERS.values(), ids=SERVERS)
def test_an_artifact_of_another_bake_ends_the_server(sample_run, workers):
    with ModelServer(sample_run.base, BAKE_ID="bake-2", **workers) as server:
        assert_server_ends(server, "the artifact is of bake bake-1; the Model names bake bake-2")


@pytest.mark.parametrize("workers", SERVERS.values(), ids=SERVERS)
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (
            lambda model: flip_last_byte(model / "weights" / "model.safetensors"),
            "weights/model.safetensors is not the file that the manifest names",
        ),
        (lambda model: (model / "code/container/search/index.py").unlink(), "ModuleNotFoundError"),
    ],
    ids=["weights", "code"],
)
def test_a_broken_artifact_ends_the_server(artifact, tmp_path, damage, words, workers):
    shutil.copytree(artifact, tmp_path / "model")
    damage(tmp_path / "model")
    with ModelServer(tmp_path, BAKE_ID="bake-1", **workers) as server:
        assert_server_ends(server, words)


@pytest.mark.parametrize("workers", SEVERAL.values(), ids=SEVERAL)
def test_a_lost_encoder_process_ends_the_server(sample_run, workers):
    """As after an out-of-memory kill: SageMaker then starts another container."""
    with ModelServer(sample_run.base, BAKE_ID="bake-1", **workers) as server:
        server.wait_until_up()
        assert ask(server, ["a"])
        (encoder,) = server.processes(ENCODER)
        os.kill(encoder, signal.SIGKILL)
        assert_server_ends(server, "the encoder process has ended")


@pytest.mark.parametrize("workers", SEVERAL.values(), ids=SEVERAL)
def test_the_encoder_process_ends_with_the_server(sample_run, workers):
    with ModelServer(sample_run.base, BAKE_ID="bake-1", **workers) as server:
        server.wait_until_up()
        assert ask(server, ["a"])
        (java,) = server.processes("com.amazonaws.ml.mms.ModelServer")
        os.kill(java, signal.SIGKILL)
        server.wait(lambda: not server.processes(ENCODER), "the encoder to end", seconds=10)
        server.wait(lambda: server.ping() is None, "the ping to stop", seconds=5)


def test_a_load_failure_alone_would_leave_the_ping_at_200(tmp_path):
    """Why a failed load must end the server."""
    (tmp_path / "model" / "code").mkdir(parents=True)
    (tmp_path / "model" / "code" / "inference.py").write_text(
        "def model_fn(model_dir):\n    raise RuntimeError('broken artifact')\n"
        "def transform_fn(model, data, content_type, accept):\n    return '{}'\n"
    )
    with ModelServer(tmp_path) as server:
        server.wait_until_up()
        answer = server.invoke(b"{}", JSON)
        assert answer.status == 400
        assert json.loads(answer.text)["message"] == "broken artifact"
        until = time.monotonic() + 3
        while time.monotonic() < until:
            assert server.ping() == 200
            time.sleep(0.2)
