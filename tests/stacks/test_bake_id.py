"""The bake's id depends on all inputs of the artifact, and on nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import stage.bake_inputs
from contract.deployment import Deployment
from stage.bundles import Bundle
from stage.settings import Settings, load_settings
from tests.support.synthesis import assemble, properties


def _bake(settings: Settings) -> dict[str, Any]:
    (bake,) = properties(assemble(settings)["Model"].template, "Custom::Bake")
    return bake


@pytest.fixture(scope="module")
def settings() -> Settings:
    return load_settings("dev")


@pytest.fixture(scope="module")
def bake_id(settings: Settings) -> str:
    return str(_bake(settings)["BakeId"])


def _model(settings: Settings, **changes: Any) -> Settings:
    """Settings whose lock has another entry for the JumpStart model."""
    model = settings.jumpstart_model.model_copy(update=changes)
    lock = settings.lock.model_copy(update={"models": {**settings.lock.models, model.id: model}})
    return settings.model_copy(update={"lock": lock})


def _image(settings: Settings, **changes: Any) -> Settings:
    image = settings.lock.image.model_copy(update=changes)
    lock = settings.lock.model_copy(update={"image": image})
    return settings.model_copy(update={"lock": lock})


def _hyperparameters(settings: Settings, **changes: Any) -> Settings:
    hyper = settings.model.hyperparameters.model_copy(update=changes)
    model = settings.model.model_copy(update={"hyperparameters": hyper})
    return settings.model_copy(update={"model": model})


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda s: s.model_copy(update={"corpus_sha256": "0" * 64}), id="corpus"),
        pytest.param(lambda s: _model(s, weights_key="other/"), id="weights"),
        pytest.param(lambda s: _model(s, version="9.9.9"), id="model version"),
        pytest.param(lambda s: _model(s, dimension=7), id="dimension"),
        pytest.param(lambda s: _model(s, query_prefix="query: "), id="query prefix"),
        pytest.param(lambda s: _model(s, passage_prefix="passage: "), id="passage prefix"),
        pytest.param(lambda s: _image(s, cpu_tag="other"), id="image"),
        pytest.param(
            lambda s: s.model_copy(
                update={"model": s.model.model_copy(update={"precision": "bf16"})}
            ),
            id="precision",
        ),
        pytest.param(lambda s: _hyperparameters(s, batch_size=1), id="batch size"),
        pytest.param(lambda s: _hyperparameters(s, max_seq_length=8), id="tokens"),
        pytest.param(lambda s: _hyperparameters(s, store_text=False), id="stored text"),
        pytest.param(
            lambda s: s.model_copy(
                update={"model": s.model.model_copy(update={"embed": "question"})}
            ),
            id="embedded text",
        ),
    ],
)
def test_every_input_of_the_artifact_changes_the_id(
    settings: Settings, bake_id: str, change: Callable[[Settings], Settings]
) -> None:
    assert _bake(change(settings))["BakeId"] != bake_id


def test_a_reused_bake_gives_its_id_to_everything_and_is_never_run(settings: Settings) -> None:
    bake = settings.bake.model_copy(update={"reuse": "e" * 64})
    template = assemble(settings.model_copy(update={"bake": bake}))["Model"].template
    (values,) = properties(template, "Custom::Bake")
    assert values["BakeId"] == values["TrainingJob"]["HyperParameters"]["bake_id"] == "e" * 64
    assert values["ReuseOnly"] is True
    for model in properties(template, "AWS::SageMaker::Model"):
        assert model["PrimaryContainer"]["Environment"]["BAKE_ID"] == "e" * 64
    (deployed,) = (
        Deployment.from_json(p["Value"])
        for p in properties(template, "AWS::SSM::Parameter")
        if p["Name"] == settings.names.deployment_parameter
    )
    assert deployed.bake_id == "e" * 64


def test_a_bake_is_run_unless_the_settings_reuse_one(settings: Settings) -> None:
    assert "ReuseOnly" not in _bake(settings)


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
    assert _bake(settings)["BakeId"] != bake_id


def test_the_precision_changes_one_hyperparameter_of_the_job_and_the_ids(
    settings: Settings,
) -> None:
    model = settings.model.model_copy(update={"precision": "bf16"})
    before, after = (
        _bake(each)["TrainingJob"]
        for each in (settings, settings.model_copy(update={"model": model}))
    )
    assert before["HyperParameters"].pop("precision") == "fp32"
    assert after["HyperParameters"].pop("precision") == "bf16"
    old, new = before["HyperParameters"]["bake_id"], after["HyperParameters"]["bake_id"]
    assert old != new
    assert before == json.loads(json.dumps(after).replace(new, old))


def test_the_prefixes_reach_the_job(settings: Settings) -> None:
    bake = _bake(_model(settings, query_prefix="query: ", passage_prefix="passage: "))
    hyperparameters = bake["TrainingJob"]["HyperParameters"]
    assert hyperparameters["query_prefix"] == "query: "
    assert hyperparameters["passage_prefix"] == "passage: "


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"region": "eu-west-1"}, id="region"),
        pytest.param({"stage": "other"}, id="stage"),
        pytest.param({"tags": {"cost-centre": "other"}}, id="tags"),
    ],
)
def test_where_it_runs_does_not_change_the_id(
    settings: Settings, bake_id: str, change: dict[str, Any]
) -> None:
    assert _bake(settings.model_copy(update=change))["BakeId"] == bake_id
