"""The bake's id depends on all inputs of the artifact, and on nothing else."""

from __future__ import annotations

import copy
import csv
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

import stage.bake_inputs
from contract.deployment import Deployment
from stacks.model.stack import ModelStack
from stage.bake_inputs import bake_inputs
from stage.bundles import Bundle
from stage.settings import Settings, load_settings
from tests.support.synthesis import properties, some_templates_of


def _bake(settings: Settings) -> dict[str, Any]:
    """The bake's resource in the template."""
    (bake,) = properties(some_templates_of(settings, ModelStack)["Model"], "Custom::Bake")
    return bake


@pytest.fixture(scope="module")
def settings() -> Settings:
    return load_settings("dev")


@pytest.fixture(scope="module")
def deployed(settings: Settings) -> dict[str, Any]:
    return _bake(settings)


@pytest.fixture(scope="module")
def bake_id(settings: Settings, deployed: dict[str, Any]) -> str:
    assert deployed["BakeId"] == bake_inputs(settings).bake_id
    return str(deployed["BakeId"])


def _with(value: Any, path: str, change: Any) -> Any:
    """A copy of nested settings with another value at a dotted path."""
    name, _, rest = path.partition(".")
    if isinstance(value, dict):
        return {**value, name: _with(value[name], rest, change) if rest else change}
    inner = _with(getattr(value, name), rest, change) if rest else change
    return value.model_copy(update={name: inner})


MODEL = f"lock.models.{load_settings('dev').model.id}"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("corpus_sha256", "0" * 64),
        (f"{MODEL}.weights_key", "other/"),
        (f"{MODEL}.version", "9.9.9"),
        (f"{MODEL}.dimension", 7),
        (f"{MODEL}.query_prefix", "query: "),
        (f"{MODEL}.passage_prefix", "passage: "),
        ("lock.image.cpu_tag", "other"),
        ("model.precision", "bf16"),
        ("search.ranking", "question"),
        ("model.hyperparameters.batch_size", 1),
        ("model.hyperparameters.max_seq_length", 8),
        ("model.hyperparameters.store_text", False),
    ],
)
def test_every_input_of_the_artifact_changes_the_id(
    settings: Settings, bake_id: str, path: str, value: Any
) -> None:
    assert bake_inputs(_with(settings, path, value)).bake_id != bake_id


@pytest.mark.parametrize(
    ("path", "value"),
    [("search.ranking", "vectors"), ("search.min_score", 0.4), ("search.margin", 0.1)],
)
def test_what_is_decided_at_each_request_trains_nothing(
    settings: Settings, bake_id: str, path: str, value: Any
) -> None:
    assert bake_inputs(_with(settings, path, value)).bake_id == bake_id


def test_a_reused_bake_gives_its_id_to_everything_and_is_never_run(settings: Settings) -> None:
    reused = _with(settings, "bake.reuse", "e" * 64)
    template = some_templates_of(reused, ModelStack)["Model"]
    (values,) = properties(template, "Custom::Bake")
    assert values["BakeId"] == values["TrainingJob"]["HyperParameters"]["bake_id"] == "e" * 64
    assert values["ReuseOnly"] is True
    file = settings.corpus.path
    assert file is not None
    assert values["Corpus"]["FileSha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    for model in properties(template, "AWS::SageMaker::Model"):
        assert model["PrimaryContainer"]["Environment"]["BAKE_ID"] == "e" * 64
    (deployed,) = (
        Deployment.from_json(p["Value"])
        for p in properties(template, "AWS::SSM::Parameter")
        if p["Name"] == settings.names.deployment_parameter
    )
    assert deployed.bake_id == "e" * 64


def test_with_an_index_of_s3_vectors_the_corpus_decides_nothing(
    settings: Settings, bake_id: str
) -> None:
    settings = _with(settings, "search.engine", "s3_vectors")
    template = some_templates_of(settings, ModelStack)["Model"]
    (bake,) = properties(template, "Custom::Bake")
    assert bake["BakeId"] != bake_id
    assert "Corpus" not in bake
    job = bake["TrainingJob"]
    assert "corpus_sha256" not in job["HyperParameters"]
    assert "corpus" not in {channel["ChannelName"] for channel in job["InputDataConfig"]}
    other = some_templates_of(_with(settings, "corpus_sha256", "0" * 64), ModelStack)
    assert other["Model"] == template


def test_a_bake_is_run_unless_the_settings_reuse_one(deployed: dict[str, Any]) -> None:
    assert "ReuseOnly" not in deployed
    assert "FileSha256" not in deployed["Corpus"]


def test_a_corpus_that_is_only_saved_anew_changes_nothing(
    settings: Settings, deployed: dict[str, Any], tmp_path: Path
) -> None:
    file = settings.corpus.path
    assert file is not None
    rows = csv.reader(file.read_text("utf-8-sig").splitlines(keepends=True))
    saved = tmp_path / "saved.csv"
    with saved.open("w", encoding="utf-16", newline="") as stream:
        csv.writer(stream, delimiter="\t").writerows([["Frage", "Antwort"], *rows])
    again = load_settings(settings.stage, str(saved))
    assert again.corpus_sha256 == settings.corpus_sha256
    assert _bake(again) == deployed


@pytest.mark.parametrize("bundle", ["container_bundle", "vendored_bundle"])
def test_other_code_or_packages_are_another_bake(
    settings: Settings,
    bake_id: str,
    bundle: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    other = tmp_path / "other.zip"
    other.touch()
    monkeypatch.setattr(stage.bake_inputs, bundle, lambda *_: Bundle(other, "f" * 64))
    assert bake_inputs(settings).bake_id != bake_id


def test_the_precision_changes_one_hyperparameter_of_the_job_and_the_ids(
    settings: Settings, deployed: dict[str, Any]
) -> None:
    before = copy.deepcopy(deployed["TrainingJob"])
    after = _bake(_with(settings, "model.precision", "bf16"))["TrainingJob"]
    assert before["HyperParameters"].pop("precision") == "fp32"
    assert after["HyperParameters"].pop("precision") == "bf16"
    old, new = before["HyperParameters"]["bake_id"], after["HyperParameters"]["bake_id"]
    assert old != new
    assert before == json.loads(json.dumps(after).replace(new, old))


def test_the_prefixes_reach_the_job(settings: Settings) -> None:
    changed = _with(settings, f"{MODEL}.query_prefix", "query: ")
    bake = _bake(_with(changed, f"{MODEL}.passage_prefix", "passage: "))
    hyperparameters = bake["TrainingJob"]["HyperParameters"]
    assert hyperparameters["query_prefix"] == "query: "
    assert hyperparameters["passage_prefix"] == "passage: "


@pytest.mark.parametrize(
    "change", [{"region": "eu-west-1"}, {"stage": "other"}, {"tags": {"cost-centre": "other"}}]
)
def test_where_it_runs_does_not_change_the_id(
    settings: Settings, bake_id: str, change: dict[str, Any]
) -> None:
    assert bake_inputs(settings.model_copy(update=change)).bake_id == bake_id
