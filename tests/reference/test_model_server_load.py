"""What the real server does while a model loads, and with requests that it cannot answer in time.

The encoder is slowed down, as a large model would.
"""

from __future__ import annotations

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from stage import model_server
from tests.reference.model_server import JSON, ModelServer, ask

CPU = model_server.environment(gpu=False)
GPU = model_server.environment(gpu=True)
ENCODER = "container.encoder.process"
LOADED = "Encoder process ready"


def wait_before(artifact, module, function, seconds):
    """Lets a function of the artifact's code wait before each call."""
    file = artifact / "code" / "container" / "encoder" / module
    text = file.read_text("utf-8")
    assert f"def {function}(" in text
    text = text.replace(f"def {function}(", f"def {function}_at_once(")
    file.write_text(
        f"{text}\n\ndef {function}(*arguments, **named):\n"
        f"    import time\n    time.sleep({seconds})\n"
        f"    return {function}_at_once(*arguments, **named)\n",
        "utf-8",
    )


def do_not_wait_ahead(artifact, seconds):
    """Lets the server start after `seconds`, whether the model is loaded or not."""
    file = artifact / "code" / "inference.py"
    text = file.read_text("utf-8")
    file.write_text(text.replace("LOAD_SECONDS = 45", f"LOAD_SECONDS = {seconds}"), "utf-8")


@pytest.fixture
def base(artifact, tmp_path):
    shutil.copytree(artifact, tmp_path / "model")
    return tmp_path


@pytest.mark.parametrize("environment", [CPU, GPU], ids=["CPU", "GPU"])
def test_the_server_is_up_once_the_model_has_loaded(base, environment):
    """SageMaker sends requests from then on."""
    wait_before(base / "model", "load.py", "load_encoder", 8)
    with ModelServer(base, BAKE_ID="bake-1", **environment) as server:
        server.wait_until_up()
        assert LOADED in server.log
        assert ask(server, ["a"])
        assert len(server.processes(ENCODER)) == 1


@pytest.mark.parametrize("environment", [CPU, GPU], ids=["CPU", "GPU"])
def test_a_load_that_takes_longer_than_the_server_waits_goes_on(base, environment):
    """Beyond a minute multi-model-server would go on without a model."""
    wait_before(base / "model", "load.py", "load_encoder", 12)
    do_not_wait_ahead(base / "model", 2)
    with ModelServer(base, BAKE_ID="bake-1", **environment) as server:
        server.wait_until_up()
        assert LOADED not in server.log
        encoders = server.processes(ENCODER)
        assert len(encoders) == 1
        assert ask(server, ["a"])
        assert server.processes(ENCODER) == encoders


def test_a_load_beyond_the_servers_time_limit_is_waited_for(base):
    """The server gives up workers that load for too long, and starts others.

    The Model's limit is long; here one is short, to see what would happen.
    """
    wait_before(base / "model", "load.py", "load_encoder", 75)
    do_not_wait_ahead(base / "model", 1)
    environment = {
        "SAGEMAKER_MODEL_SERVER_WORKERS": "2",
        "SAGEMAKER_MODEL_SERVER_TIMEOUT_SECONDS": "30",
    }
    with ModelServer(base, BAKE_ID="bake-1", **environment) as server:
        server.wait_until_up()
        server.wait(lambda: LOADED in server.log, "the load", seconds=180)
        assert "did not respond in given time" in server.log

        def is_answered():
            with suppress(TimeoutError):
                return server.invoke(b'["a"]', JSON, seconds=5).status == 200

        server.wait(is_answered, "an answer", seconds=180)
        assert len(server.processes(ENCODER)) == 1
        assert "Ending the server" not in server.log


def test_nobody_waits_behind_callers_who_have_gone(base):
    """Sixty leave after a second; the next one is answered, or refused until it can be."""
    wait_before(base / "model", "wire.py", "send_vectors", 0.5)
    with ModelServer(base, BAKE_ID="bake-1", **CPU) as server:
        server.wait_until_up()
        assert ask(server, ["a"])

        def leave_after_a_second(_number):
            with suppress(TimeoutError):
                return server.invoke(b'["a"]', JSON, seconds=1).status

        with ThreadPoolExecutor(60) as pool:
            statuses = list(pool.map(leave_after_a_second, range(60)))
        began = time.monotonic()
        while (status := server.invoke(b'["a"]', JSON).status) == 503:
            time.sleep(0.1)
        seconds = time.monotonic() - began
    assert status == 200
    assert statuses.count(503) > 30
    assert seconds < 15
