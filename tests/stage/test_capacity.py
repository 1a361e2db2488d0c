"""What an endpoint can encode in the time of a request, as the settings and the docs say."""

from __future__ import annotations

import pytest

from stage.capacity import max_tokens
from stage.jumpstart import JumpStartModel, read_lock
from stage.settings import ROOT
from stage.tables import EndpointSettings

MINILM, SMALL, BASE, LARGE = (
    f"huggingface-sentencesimilarity-{name}"
    for name in ("all-MiniLM-L6-v2", "bge-small-en", "bge-base-en", "bge-large-en")
)


def model(model_id: str) -> JumpStartModel:
    return read_lock().models[model_id]


def limit(
    model_id: str, instance_type: str, precision: str = "fp32", **table: object
) -> int | None:
    endpoint = EndpointSettings.model_validate({"instance_type": instance_type, **table})
    return max_tokens(model(model_id), endpoint, precision)


def test_larger_models_and_slower_processors_can_do_less() -> None:
    assert limit(MINILM, "ml.c6i.xlarge") == 240_000
    assert limit(LARGE, "ml.c6i.xlarge") == 8_600
    assert limit(LARGE, "ml.g5.2xlarge") == limit(LARGE, "ml.g5.8xlarge") == 670_000
    assert limit(LARGE, "ml.g5.2xlarge", "fp16") == 1_300_000
    assert limit(LARGE, "ml.c6i.xlarge", "fp16") == 8_600, "it computes in fp32"
    assert limit(LARGE, "ml.c6i.xlarge", "int8") == 17_000
    assert limit(LARGE, "ml.g5.2xlarge", "int8") == 670_000, "it computes in fp32"
    assert limit(LARGE, "ml.g5.2xlarge", device="cpu") == 17_000


def test_every_model_of_the_lock_has_a_limit_everywhere() -> None:
    for each in read_lock().models.values():
        for instance_type in each.instance_types:
            tokens = limit(each.id, instance_type)
            assert tokens is not None and tokens >= each.max_seq_length


def test_what_is_not_known_has_no_limit() -> None:
    assert limit(MINILM, "ml.g9.2xlarge") is None
    unknown = model(MINILM).model_copy(update={"id": "new", "dimension": 500})
    endpoint = EndpointSettings(instance_type="ml.c6i.xlarge")  # type: ignore[call-arg]
    assert max_tokens(unknown, endpoint, "fp32") is None


def test_the_settings_override_it() -> None:
    assert limit(MINILM, "ml.c6i.xlarge", max_tokens=5_000_000) == 5_000_000


def test_the_docs_have_the_same_figures() -> None:
    page = (ROOT / "docs/rest-api.md").read_text(encoding="utf-8")
    for instance_type in ("ml.c6i.xlarge", "ml.g4dn.2xlarge", "ml.g5.2xlarge"):
        tokens = [limit(each, instance_type) for each in (MINILM, SMALL, BASE, LARGE)]
        figures = " | ".join(f"{each:,}" for each in tokens)
        (row,) = (line for line in page.splitlines() if line.startswith(f"| {instance_type}"))
        assert row.endswith(f"| {figures} |")


@pytest.mark.parametrize("wrong", [0, 999, 1.5, "many", True])
def test_a_wrong_limit_is_refused(wrong: object) -> None:
    with pytest.raises(ValueError, match="max_tokens"):
        limit(MINILM, "ml.c6i.xlarge", max_tokens=wrong)
