"""What a reviewer sees when only one thing changes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stacks.model.stack import ModelStack
from stage.settings import load_settings
from tests.support.synthesis import ROOT, Templates, changed, some_templates_of, templates_of

SAMPLE = ROOT / "corpus/sample/amazon_sagemaker_faq.csv"
# BAKE_ID changes the models; configurations and endpoints follow by reference, which a comparison
# of templates does not show. One alarm watches only the new bake's answers.
NEW_BAKE = {
    "AWS::CloudWatch::Alarm",
    "AWS::SageMaker::Model",
    "AWS::SSM::Parameter",
    "Custom::Bake",
    "Custom::SmokeTest",
}


def changes(before: Templates, after: Templates) -> dict[str, set[str]]:
    """Types of the resources that differ, by stack; without the stacks that do not differ."""
    found = {
        stack: {
            (after[stack]["Resources"].get(name) or before[stack]["Resources"][name])["Type"]
            for name in before[stack]["Resources"] | after[stack]["Resources"]
            if before[stack]["Resources"].get(name) != after[stack]["Resources"].get(name)
        }
        for stack in before
    }
    return {stack: types for stack, types in found.items() if types}


@pytest.fixture
def local(templates: Callable[[str], Templates]) -> Templates:
    return templates("local")


def test_a_changed_answer_changes_the_bake_and_what_follows(
    local: Templates, tmp_path: Path
) -> None:
    corpus = tmp_path / "corpus.csv"
    corpus.write_text(SAMPLE.read_text(encoding="utf-8") + "A new question?,A new answer.\n")
    after = templates_of(load_settings("local", str(corpus)))
    assert changes(local, after) == {"Model": NEW_BAKE}


def test_the_same_corpus_under_another_name_changes_nothing(
    local: Templates, tmp_path: Path
) -> None:
    copy = tmp_path / "renamed.csv"
    copy.write_bytes(SAMPLE.read_bytes())
    assert templates_of(load_settings("local", str(copy))) == local


CPU = {"instance_type": "ml.c6i.xlarge", "instance_count": 2}
GPU = {"instance_type": "ml.g5.2xlarge"}


def _local(**settings: Any) -> Templates:
    """The templates of stage local with some settings changed."""
    return templates_of(changed("local", **settings))


def _gpu(**endpoint: Any) -> dict[str, Any]:
    """Settings with the GPU's endpoint changed."""
    return {"endpoints": [CPU, {**GPU, **endpoint}]}


def test_another_instance_count_changes_one_configuration_and_what_the_api_says_of_it() -> None:
    before, after = (_local(**_gpu(instance_count=count)) for count in (2, 3))
    assert changes(before, after) == {
        "Model": {"AWS::SageMaker::EndpointConfig"},
        # GET /endpoints says how many instances an endpoint has.
        "FrontDoor": {"AWS::Lambda::Function", "AWS::Lambda::Version", "AWS::Lambda::Alias"},
    }


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(_gpu(instance_count=2), id="canary"),
        pytest.param({"updates": {"watch_seconds": 3}}, id="longer watch"),
        pytest.param(_gpu(scaling={"max_instances": 2}), id="scaling"),
    ],
)
def test_another_way_of_updating_moves_the_endpoint_to_a_new_configuration(
    local: Templates, settings: dict[str, Any]
) -> None:
    """SageMaker does not update an endpoint to the configuration that it already has."""
    after = some_templates_of(changed("local", **settings), ModelStack)
    was_all, now_all = (templates["Model"]["Resources"] for templates in (local, after))
    endpoints = [n for n, r in now_all.items() if r["Type"] == "AWS::SageMaker::Endpoint"]
    moved = [n for n in endpoints if was_all[n] != now_all[n]]
    assert moved
    for name in moved:
        was, now = was_all[name]["Properties"], now_all[name]["Properties"]
        assert was["EndpointName"] == now["EndpointName"]  # another name would replace it
        assert was["EndpointConfigName"] != now["EndpointConfigName"]


def test_another_model_reads_other_weights(local: Templates) -> None:
    after = _local(model={"id": "huggingface-sentencesimilarity-bge-small-en-v1-5"})
    assert changes(local, after) == {
        "Foundation": {"AWS::IAM::Role"},
        "Model": NEW_BAKE,
        # It knows how much an endpoint with this model can do in time.
        "FrontDoor": {"AWS::Lambda::Function", "AWS::Lambda::Version", "AWS::Lambda::Alias"},
    }


def test_an_added_instance_type_adds_an_endpoint_and_bakes_nothing(local: Templates) -> None:
    after = _local(
        endpoints=[CPU, GPU, {"instance_type": "ml.g4dn.2xlarge"}],
    )
    differing = changes(local, after)
    assert {"AWS::SageMaker::Endpoint", "AWS::SageMaker::EndpointConfig"} <= differing["Model"]
    assert "Custom::Bake" not in differing["Model"]
    assert "AWS::SageMaker::Model" not in differing["Model"]
    assert "Foundation" not in differing
