"""The encoder process that workers share: who starts it, who waits for it, and what they learn."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from container.artifact import read_manifest
from container.encoder import shared
from container.encoder.remote import shared_encoder
from container.errors import LoadError
from local_aws.sagemaker.children import Children
from local_aws.sagemaker.instance import Instance, InstancePlan
from stage import model_server
from tests.support.sagemaker import wait_until

CODE = Path("code", "container", "encoder")
WORKERS = {"SAGEMAKER_MODEL_SERVER_WORKERS": "4"}


@pytest.fixture
def artifact(tmp_path, baked):
    return shutil.copytree(baked, tmp_path / "model")


@pytest.fixture
def parent():
    """A process that stands for the one from which the server forks its workers."""
    process = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE
    )
    yield process.pid
    process.communicate()


@pytest.fixture
def from_artifact(artifact, monkeypatch):
    """Lets the encoder process run the artifact's own code, which a test may change."""
    monkeypatch.setattr(sys, "path", [str(artifact / "code"), *sys.path])
    return artifact / CODE


def delay(module, seconds):
    """Lets the encoder process wait before it loads."""
    (module / "load.py").write_text(
        (module / "load.py").read_text("utf-8").replace(
            "    hashes = hashes or",
            f"    import time; time.sleep({seconds})\n    hashes = hashes or",
        )
    )  # fmt: skip


def do_not_wait_ahead(artifact, seconds):
    """Lets the server start after `seconds`, whether the model is loaded or not."""
    hooks = artifact / "code" / "inference.py"
    text = hooks.read_text("utf-8")
    hooks.write_text(text.replace("LOAD_SECONDS = 45", f"LOAD_SECONDS = {seconds}"))


def encoder_processes(artifact):
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if b"container.encoder.process" in command and os.fsencode(artifact) in command:
            found.append(int(folder.name))
    return found


def open_encoder(artifact, parent):
    def lost(_reason):
        """The parent ends before the workers here do."""

    manifest = read_manifest(artifact)
    return shared_encoder(artifact, manifest, parent=parent, server=None, lost=lost)


def test_workers_that_come_together_share_one_process(artifact, parent):
    with ThreadPoolExecutor(4) as pool:
        encoders = list(pool.map(lambda _: open_encoder(artifact, parent), range(4)))
    assert len(encoder_processes(artifact)) == 1
    assert len({encoder.encode(["hello"]).tobytes() for encoder in encoders}) == 1


def test_workers_wait_for_a_load_that_began_earlier(from_artifact, artifact, parent):
    delay(from_artifact, 1.5)
    began = time.monotonic()
    assert not shared.load_ahead(artifact, parent=parent, server=None, seconds=0.3)
    assert time.monotonic() - began < 1.5
    (process,) = encoder_processes(artifact)
    assert open_encoder(artifact, parent).encode(["hello"]).shape == (1, 384)
    assert time.monotonic() - began > 1.5
    assert encoder_processes(artifact) == [process]


def test_nobody_waits_for_a_load_that_has_ended(artifact, parent):
    assert shared.load_ahead(artifact, parent=parent, server=None, seconds=30)
    (process,) = encoder_processes(artifact)
    open_encoder(artifact, parent)
    assert encoder_processes(artifact) == [process]


def test_everybody_learns_why_a_load_failed(from_artifact, artifact, parent):
    delay(from_artifact, 0.5)
    (artifact / "weights" / "model.safetensors").unlink()

    def reason(_number):
        with pytest.raises(LoadError) as caught:
            shared.connect(artifact, parent=parent, server=None)
        return str(caught.value)

    with ThreadPoolExecutor(4) as pool:
        reasons = set(pool.map(reason, range(4)))
    (only,) = reasons
    assert only == "weights/model.safetensors is missing"
    with pytest.raises(LoadError, match=only):
        shared.load_ahead(artifact, parent=parent, server=None, seconds=30)


def test_a_process_that_dies_while_it_loads_is_started_once_more(from_artifact, artifact, parent):
    """As after an out-of-memory kill."""
    marker = artifact / "died"
    with (from_artifact / "rounds.py").open("a", encoding="utf-8") as module:
        module.write(
            f"\nimport os, pathlib\nmarker = pathlib.Path({str(marker)!r})\n"
            "if not marker.exists():\n    marker.touch()\n    os.kill(os.getpid(), 9)\n"
        )
    assert open_encoder(artifact, parent).encode(["hello"]).shape == (1, 384)
    assert marker.exists()


def test_it_is_not_started_for_ever(from_artifact, artifact, parent):
    (from_artifact / "rounds.py").write_text("exit(3)")
    with pytest.raises(LoadError, match="the encoder process ended with status 3 before the model"):
        shared.connect(artifact, parent=parent, server=None)
    assert encoder_processes(artifact) == []


SERVER_PROGRAM = """
import sys
print("server code runs, model loaded:", "container.encoder.shared" in sys.modules, flush=True)
sys.stdin.read()
"""


def start_python(folder, artifact, program="model_service_worker.py", **environment):
    """Starts Python as the server does, with the artifact's code folder on its path."""
    (folder / program).write_text(SERVER_PROGRAM)
    return subprocess.Popen(
        [sys.executable, str(folder / program), "--sock-type", "unix"],
        env={
            "PATH": os.environ["PATH"],
            "TMPDIR": tempfile.gettempdir(),
            "PYTHONPATH": f":{artifact / 'code'}:{artifact}",
            "PYTHONDONTWRITEBYTECODE": "1",
            **environment,
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


class TestLoadingAhead:
    """What sitecustomize does in the process from which the server forks its workers."""

    def test_the_model_is_loaded_before_the_server_code_runs(self, artifact, tmp_path):
        with start_python(tmp_path, artifact, **WORKERS) as process:
            output = process.stdout.readline(), process.stdout.readline()
            assert "Encoder process ready in" in output[0]
            assert output[1] == "server code runs, model loaded: True\n"
            assert len(encoder_processes(artifact)) == 1
            encoder = open_encoder(artifact, process.pid)
            assert encoder.encode(["hello"]).shape == (1, 384)
            assert len(encoder_processes(artifact)) == 1
            process.communicate()

    @pytest.mark.parametrize(
        ("program", "environment"),
        [
            ("model_service_worker.py", {}),
            ("model_service_worker.py", {"SAGEMAKER_MODEL_SERVER_WORKERS": "1"}),
            ("serve.py", WORKERS),
        ],
        ids=["one worker", "one worker, said", "another program"],
    )
    def test_elsewhere_nothing_is_loaded(self, artifact, tmp_path, program, environment):
        with start_python(tmp_path, artifact, program, **environment) as process:
            assert process.stdout.readline() == "server code runs, model loaded: False\n"
            assert encoder_processes(artifact) == []
            process.communicate()

    @pytest.mark.parametrize(
        "damage",
        [
            lambda code: (code / "container" / "encoder" / "shared.py").unlink(),
            lambda code: (code / "container" / "encoder" / "process.py").write_text("!"),
            lambda code: (code / "inference.py").write_text("!"),
        ],
        ids=["no code", "broken code", "broken hooks"],
    )
    def test_no_error_keeps_the_server_from_starting(self, artifact, tmp_path, damage):
        damage(artifact / "code")
        with start_python(tmp_path, artifact, **WORKERS) as process:
            output, _ = process.communicate()
        assert "server code runs" in output
        assert process.returncode == 0

    @pytest.mark.parametrize(
        ("damage", "words"),
        [
            (lambda model: (model / "bake-manifest.json").unlink(), "cannot be read"),
            (
                lambda model: (model / "weights" / "model.safetensors").unlink(),
                "weights/model.safetensors is missing",
            ),
            (lambda _: None, "the artifact is of bake bake-1; the Model names bake bake-2"),
        ],
        ids=["no manifest", "no weights", "another bake"],
    )
    def test_an_artifact_that_cannot_be_served_ends_it_before_the_first_ping(
        self, artifact, tmp_path, damage, words
    ):
        damage(artifact)
        other = words.endswith("bake-2")
        with start_python(
            tmp_path, artifact, BAKE_ID="bake-2" if other else "bake-1", **WORKERS
        ) as process:
            output, _ = process.communicate()
        assert "server code runs" not in output
        assert "faq-search cannot serve this artifact: LoadError: " in output
        assert words in output
        assert process.returncode == 1

    def test_it_does_not_wait_longer_than_the_server(self, artifact, tmp_path):
        delay(artifact / CODE, 3)
        do_not_wait_ahead(artifact, 1)
        with start_python(tmp_path, artifact, **WORKERS) as process:
            began = time.monotonic()
            assert process.stdout.readline().startswith("The model is not loaded after 1 s")
            assert process.stdout.readline().startswith("server code runs")
            assert time.monotonic() - began < 3
            assert process.stdout.readline().startswith("Encoder process ready")
            process.communicate()


@pytest.fixture
def start_instance(artifact, tmp_path):
    """Starts the local AWS's stand-in for the server; tests/reference has the server itself."""
    children = Children()

    def start(**environment):
        plan = InstancePlan(
            label="endpoint",
            environment={"BAKE_ID": "bake-1", **environment},
            model_dir=artifact,
            folder=tmp_path / "instance",
            log=tmp_path / "log",
            health_check_timeout=60,
        )
        instance = Instance(plan, children, Event())
        assert instance.start()
        return instance

    yield start
    children.close()


def status(instance):
    return instance.post(b'["hello"]', {"Content-Type": "application/json"}, 300).status


@pytest.mark.parametrize("gpu", [False, True], ids=["CPU", "GPU"])
def test_an_instance_is_healthy_once_the_model_has_loaded(artifact, start_instance, gpu):
    delay(artifact / CODE, 1)
    instance = start_instance(**model_server.environment(gpu=gpu))
    assert "Encoder process ready" in instance.plan.log.read_text()
    assert status(instance) == 200
    (encoder,) = encoder_processes(artifact)
    instance.close()
    wait_until(lambda: encoder not in encoder_processes(artifact))


def test_the_encoder_survives_workers_that_the_server_has_given_up(artifact, start_instance):
    """They take longer to load than the server allows, because the encoder does."""
    delay(artifact / CODE, 9)
    do_not_wait_ahead(artifact, 1)
    instance = start_instance(
        SAGEMAKER_MODEL_SERVER_WORKERS="4", SAGEMAKER_MODEL_SERVER_TIMEOUT_SECONDS="4"
    )
    assert status(instance) == 200
    assert len(encoder_processes(artifact)) == 1
    time.sleep(2)
    assert status(instance) == 200
    assert not instance.has_ended
