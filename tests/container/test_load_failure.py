"""A failed load ends the server: multi-model-server's process if there is one, and this one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from container.artifact import sealed
from container.serving import inference
from tests.support.container import flip_last_byte

SERVICE = "code/container/serving/service.py"
SERVER = """
import sys
sys.path.insert(0, sys.argv[1] + "/code")
import inference
service = inference.model_fn(sys.argv[1])
print("serving", inference.transform_fn(service, '{"mode":"info"}', None, None)[:12].decode())
"""


# Stands for the process from which the server forks its workers.
PARENT = ["sh", "-c", '"$@"; exit', "parent"]


def serve(model, **environment):
    return subprocess.run(
        [*PARENT, sys.executable, "-c", SERVER, str(model)],
        cwd=model,
        env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def artifact(tmp_path, baked):
    return shutil.copytree(baked, tmp_path / "model")


def test_the_artifact_alone_serves(artifact):
    result = serve(artifact, BAKE_ID="bake-1")
    assert result.stdout == 'serving {"bake_id":"\n', result.stderr


def test_the_artifact_alone_serves_several_workers(artifact):
    """Through an encoder process, which ends with their parent."""
    result = serve(artifact, BAKE_ID="bake-1", SAGEMAKER_MODEL_SERVER_WORKERS="2")
    assert result.stdout == 'serving {"bake_id":"\n', result.stderr
    assert processes_of(artifact) == []


def processes_of(model):
    """The processes with the artifact in their command."""
    commands = (file.read_bytes() for file in Path("/proc").glob("[0-9]*/cmdline"))
    return [command for command in commands if os.fsencode(model) in command]


def change_manifest(model, change):
    file = model / "bake-manifest.json"
    manifest = json.loads(file.read_text("utf-8"))
    change(manifest)
    file.write_text(json.dumps(sealed(manifest)), "utf-8")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda m: (m / "bake-manifest.json").unlink(), "bake-manifest.json cannot be read"),
        (lambda m: (m / "bake-manifest.json").write_text("[]"), "is not a JSON object"),
        (lambda m: change_manifest(m, lambda f: f.pop("model")), "the manifest is incomplete"),
        (
            lambda m: change_manifest(m, lambda f: f["model"].update(dimension=385)),
            "the model's dimension is 384; the manifest says 385",
        ),
        (
            lambda m: (m / "weights" / "model.safetensors").unlink(),
            "weights/model.safetensors is missing",
        ),
        (
            lambda m: flip_last_byte(m / "weights" / "model.safetensors"),
            "weights/model.safetensors is not the file that the manifest names",
        ),
        (lambda m: (m / "index" / "offsets.npy").unlink(), "index/offsets.npy is missing"),
        (lambda m: (m / SERVICE).unlink(), "ModuleNotFoundError"),
        (lambda m: (m / SERVICE).write_text("!"), "SyntaxError"),
    ],
)
def test_a_broken_artifact_ends_the_server(artifact, damage, words):
    damage(artifact)
    result = serve(artifact, BAKE_ID="bake-1")
    assert result.returncode == 1
    assert "serving" not in result.stdout
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("faq-search cannot")]
    assert words in line
    assert line.endswith("Ending the server.")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (
            lambda m: flip_last_byte(m / "weights" / "model.safetensors"),
            "weights/model.safetensors is not the file that the manifest names",
        ),
        (
            lambda m: (m / "weights" / "model.safetensors").unlink(),
            "weights/model.safetensors is missing",
        ),
        (
            lambda m: (m / "code" / "container" / "encoder" / "rounds.py").write_text("exit(3)"),
            "the encoder process ended with status 3",
        ),
    ],
)
def test_a_failure_of_the_encoder_process_ends_the_server(artifact, damage, words):
    damage(artifact)
    result = serve(artifact, BAKE_ID="bake-1", MMS_PRELOAD_MODEL="true")
    assert result.returncode == 1
    assert f"faq-search cannot serve this artifact: LoadError: {words}" in result.stderr
    assert processes_of(artifact) == []


def test_an_artifact_of_another_bake_ends_the_server(artifact):
    result = serve(artifact, BAKE_ID="bake-2")
    assert result.returncode == 1
    assert "the artifact is of bake bake-1; the Model names bake bake-2" in result.stderr


MULTI_MODEL_SERVER = (
    "java",
    "-Dmodel_server_home=/usr/lib/python3/site-packages",
    "-cp",
    ".:/usr/lib/python3/site-packages/mms/frontend/*",
    "com.amazonaws.ml.mms.ModelServer",
    "--python",
    "/usr/bin/python3",
    "-f",
    "/etc/sagemaker-mms.properties",
)
IDE = ("/opt/ide/jbr/bin/java", "-cp", "/opt/ide/lib/*", "com.example.ide.Main")
WORKER = ("/usr/bin/python3", "model_service_worker.py")


def ended_by_a_failed_load(monkeypatch, tmp_path, *above):
    """What a failed load ends below the processes `above`, the parent (4001) first."""
    for number, command in enumerate(above, start=4001):
        folder = tmp_path / "proc" / str(number)
        folder.mkdir(parents=True)
        (folder / "cmdline").write_bytes(b"".join(part.encode() + b"\0" for part in command))
        parent = number + 1 if number < 4000 + len(above) else 1
        (folder / "status").write_text(f"Name:\t{command[0]}\nPid:\t{number}\nPPid:\t{parent}\n")
    ended = []

    def leave(status):
        ended.append(("this process", status))
        raise SystemExit(status)

    monkeypatch.setattr(inference, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(inference, "RELAY_SECONDS", 0)
    monkeypatch.setattr(os, "getppid", lambda: 4001)
    monkeypatch.setattr(os, "kill", lambda process, number: ended.append((process, number)))
    monkeypatch.setattr(os, "_exit", leave)
    with pytest.raises(SystemExit):
        inference.model_fn(str(tmp_path / "no model"))
    return ended


@pytest.mark.parametrize("java", ["java", "/usr/lib/jvm/default/bin/java"])
@pytest.mark.parametrize("above", [(), (("/usr/bin/python3", "serve"), IDE)])
def test_a_failed_load_kills_multi_model_server(monkeypatch, tmp_path, java, above):
    server = (java, *MULTI_MODEL_SERVER[1:])
    ended = ended_by_a_failed_load(monkeypatch, tmp_path, WORKER, server, *above)
    assert ended == [(4002, signal.SIGKILL), ("this process", 1)]


@pytest.mark.parametrize(
    "above",
    [
        (IDE,),
        (WORKER, IDE),
        (("bash", "-c", " ".join(MULTI_MODEL_SERVER)), ("java", "-jar", "ci-server.war")),
        (("grep", "com.amazonaws.ml.mms.ModelServer"),),
        (),
    ],
)
def test_a_failed_load_kills_no_other_java(monkeypatch, tmp_path, above):
    ended = ended_by_a_failed_load(monkeypatch, tmp_path, *above)
    assert ended == [("this process", 1)]
