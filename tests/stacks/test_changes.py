"""What a reviewer sees when one thing changes, and only that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.synthesis import ROOT, Templates, synthesise

SAMPLE = ROOT / "corpus/sample/amazon_sagemaker_faq.csv"


def changes(before: Templates, after: Templates) -> dict[str, set[str]]:
    """Types of the resources that differ, by stack; stacks without a difference are left out."""
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
    after = synthesise("local", corpus)
    assert changes(local, after) == {
        # The models' own properties change by BAKE_ID; configurations and endpoints follow by
        # reference, which a template comparison does not show. An alarm looks at the new bake's
        # answers alone.
        "Model": {
            "AWS::CloudWatch::Alarm",
            "AWS::SageMaker::Model",
            "AWS::SSM::Parameter",
            "Custom::Bake",
            "Custom::SmokeTest",
        },
    }


def test_the_same_corpus_under_another_name_changes_nothing(
    local: Templates, tmp_path: Path
) -> None:
    copy = tmp_path / "renamed.csv"
    copy.write_bytes(SAMPLE.read_bytes())
    assert synthesise("local", copy) == local


def _with(old: str, new: str, tmp_path: Path) -> Templates:
    """The templates of stage local with one part of its settings changed."""
    text = (ROOT / "config/local.toml").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "local.toml").write_text(text.replace(old, new, 1))
    return synthesise("local", directory=tmp_path)


GPU = '[[endpoints]]\ninstance_type = "ml.g5.2xlarge"'


def test_another_instance_count_changes_one_configuration(tmp_path: Path) -> None:
    two = _with(GPU, f"{GPU}\ninstance_count = 2", tmp_path)
    three = _with(GPU, f"{GPU}\ninstance_count = 3", tmp_path)
    assert changes(two, three) == {
        "Model": {"AWS::SageMaker::EndpointConfig"},
    }


# Canary instead of all at once; a longer watch; a count that may vary.
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (GPU, f"{GPU}\ninstance_count = 2"),
        ("watch_seconds = 2", "watch_seconds = 3"),
        (GPU, f"{GPU}\nscaling = {{ max_instances = 2 }}"),
    ],
)
def test_another_way_of_updating_moves_the_endpoint_to_a_new_configuration(
    local: Templates, tmp_path: Path, old: str, new: str
) -> None:
    """SageMaker would not update an endpoint to the configuration that it has already."""
    before, after = (t["Model"]["Resources"] for t in (local, _with(old, new, tmp_path)))
    endpoints = [n for n, r in after.items() if r["Type"] == "AWS::SageMaker::Endpoint"]
    changed = [n for n in endpoints if before[n] != after[n]]
    assert changed
    for name in changed:
        was, now = before[name]["Properties"], after[name]["Properties"]
        assert was["EndpointName"] == now["EndpointName"]  # all that would replace it
        assert was["EndpointConfigName"] != now["EndpointConfigName"]
    for name in set(endpoints) - set(changed):
        assert before[name] == after[name]


def test_another_model_reads_other_weights(local: Templates, tmp_path: Path) -> None:
    after = _with("all-MiniLM-L6-v2", "bge-small-en-v1-5", tmp_path)
    assert changes(local, after) == {
        "Foundation": {"AWS::IAM::Role"},
        "Model": {
            "AWS::CloudWatch::Alarm",
            "AWS::SageMaker::Model",
            "AWS::SSM::Parameter",
            "Custom::Bake",
            "Custom::SmokeTest",
        },
    }


def test_an_added_instance_type_adds_an_endpoint_and_bakes_nothing(
    local: Templates, tmp_path: Path
) -> None:
    after = _with(
        "[api]",
        '[[endpoints]]\ninstance_type = "ml.g4dn.2xlarge"\n\n[api]',
        tmp_path,
    )
    changed = changes(local, after)
    assert {"AWS::SageMaker::Endpoint", "AWS::SageMaker::EndpointConfig"} <= changed["Model"]
    assert "Custom::Bake" not in changed["Model"]
    assert "AWS::SageMaker::Model" not in changed["Model"]
    assert "Foundation" not in changed
