"""Reduced precision: when it is accepted or refused, and what is recorded."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest

from container.bake import precision_check
from container.bake.precision_check import check_precision
from container.bake.settings import BakeSettings
from container.encoder import load
from container.encoder.cpu import OpenVinoEncoder
from container.errors import BakeError
from corpus.reader import Entry
from tests.support.container import (
    FAQ,
    BakeRun,
    faq_csv,
    minilm,
    write_index,
    write_tiny_model,
    write_weights,
)

QUESTIONS = [f"question {number}" for number in range(8)]
ANSWERS = [f"answer {number}" for number in range(8)]


class TableEncoder:
    """Vectors by text, each turned slightly in another direction."""

    def __init__(self, turn=0.0, wrong=()):
        self.turn, self.wrong = turn, wrong

    def encode(self, texts):
        vectors = np.zeros((len(texts), 16), dtype=np.float32)
        for row, text in enumerate(texts):
            kind, number = text.split()
            place = int(number)
            if kind == "question" and place in self.wrong:
                place = (place + 1) % 8
            vectors[row, place] = 1
            # Some of the neighbours, so that nothing ties.
            vectors[row, (place + 1) % 8] += 0.3
            vectors[row, (place + 2) % 8] += 0.2
            vectors[row, (place + 3) % 8] += 0.1
            vectors[row, 8 + place] = self.turn
        return vectors


@pytest.fixture
def check(tmp_path):
    def run(encoder, reference, *, questions=True, **changes):
        settings = settings_of(tmp_path, **changes)
        corpus = tmp_path / ("corpus.csv" if questions else "corpus.jsonl")
        if questions:
            pairs = zip(QUESTIONS, ANSWERS, strict=True)
            corpus.write_text("".join(f"{q},{a}\n" for q, a in pairs))
        else:
            corpus.write_text("".join(json.dumps({"text": a}) + "\n" for a in ANSWERS))
        entries = [Entry(str(number), (), answer) for number, answer in enumerate(ANSWERS)]
        index = write_index(tmp_path / "index", entries, encoder.encode(ANSWERS)[np.newaxis])
        return check_precision(settings, corpus, index, encoder, reference)

    return run


def settings_of(folder, **changes):
    file = folder / "hyperparameters.json"
    file.write_text(
        json.dumps(
            {
                "bake_id": "b",
                "model_id": "m",
                "model_version": "1",
                "dimension": "16",
                "corpus_sha256": "c",
                "precision": "bf16",
                "ranking": "answer",
                **changes,
            }
        )
    )
    return BakeSettings.read(file)


def test_what_loses_nothing_is_accepted_with_both_figures(check):
    found = check(TableEncoder(turn=0.01), TableEncoder())
    assert found["sample"] == 8
    assert found["asked"] == "questions"
    assert found["top_3"] == {"fp32": 1.0, "bf16": 1.0}
    assert 0.9999 < found["worst_cosine"] < 1


def test_a_lost_answer_refuses_it_in_words_that_give_both_figures(check, monkeypatch):
    monkeypatch.setattr(precision_check, "TOP", 1)
    monkeypatch.setattr(precision_check, "LEAST_WORST_COSINE", -1)
    with pytest.raises(BakeError) as caught:
        check(TableEncoder(wrong=(3,)), TableEncoder())
    assert "top-3 accuracy over 8 questions of the corpus is 0.8750 with bf16" in str(caught.value)
    assert "at least 1.0000 is needed" in str(caught.value)
    assert 'Set model.precision = "fp32".' in str(caught.value)


def test_what_fp32_does_not_find_either_is_no_loss(check, monkeypatch):
    monkeypatch.setattr(precision_check, "TOP", 1)
    found = check(TableEncoder(wrong=(3,)), TableEncoder(wrong=(3,)))
    assert found["top_3"] == {"fp32": 0.875, "bf16": 0.875}


def test_vectors_too_far_off_refuse_it_though_nothing_is_lost(check):
    with pytest.raises(BakeError, match=r"worst cosine to fp32 is 0\.99\d+ \(at least 0\.999"):
        check(TableEncoder(turn=0.1), TableEncoder())


def test_in_int8_single_texts_may_be_further_off(check):
    found = check(TableEncoder(turn=0.1), TableEncoder(), precision="int8")
    assert found["worst_cosine"] < 0.999
    assert 0.99 < found["mean_cosine"] < 0.999


def test_in_int8_vectors_must_be_near_on_average(check):
    with pytest.raises(BakeError, match=r"mean cosine to fp32 is 0\.98\d+ \(at least 0\.99 is"):
        check(TableEncoder(turn=0.2), TableEncoder(), precision="int8")


def test_in_int8_a_lost_answer_refuses_it_too(check, monkeypatch):
    monkeypatch.setattr(precision_check, "TOP", 1)
    monkeypatch.setattr(precision_check, "LEAST_MEAN_COSINE", -1)
    with pytest.raises(BakeError, match=r"is 0\.8750 with int8"):
        check(TableEncoder(wrong=(3,)), TableEncoder(), precision="int8")


def test_a_corpus_of_texts_is_asked_its_own_texts(check):
    found = check(TableEncoder(turn=0.01), TableEncoder(), questions=False)
    assert found["asked"] == "texts"
    assert found["top_3"] == {"fp32": 1.0, "bf16": 1.0}


def test_of_texts_the_three_best_must_be_those_of_fp32(check, monkeypatch):
    class Other(TableEncoder):
        def encode(self, texts):
            vectors = super().encode(texts)
            vectors[:, [1, 2, 5]] *= 0.1
            return vectors

    monkeypatch.setattr(precision_check, "LEAST_WORST_COSINE", -1)
    with pytest.raises(BakeError, match="the share of float32's three best over 8 texts"):
        check(Other(), TableEncoder(), questions=False)


def test_of_many_entries_an_even_sample_is_asked(check, monkeypatch):
    monkeypatch.setattr(precision_check, "SAMPLE", 3)
    assert check(TableEncoder(), TableEncoder())["sample"] == 3


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_a_bake_records_its_check_or_says_what_processor_it_needs(tmp_path, precision):
    run = BakeRun(tmp_path / "ml", minilm(), faq_csv())
    status = run.run_here(precision=precision)
    if precision in OpenVinoEncoder.precisions():
        assert status == 0, run.failure
        manifest = json.loads((run.model / "bake-manifest.json").read_text())
        assert manifest["model"]["precision"] == precision
        check = manifest["precision_check"]
        assert check["top_3"] == {"fp32": 1.0, precision: 1.0}
        assert check["sample"] == len(FAQ)
        assert 0.999 <= check["worst_cosine"] < 1
    else:
        assert status == 1
        assert f"The precision {precision} needs a processor with instructions" in run.failure
        assert 'set model.precision = "fp32"' in run.failure


def test_a_processor_without_it_serves_in_fp32_and_says_so(tmp_path, monkeypatch, caplog):
    write_tiny_model(tmp_path / "source")
    config = write_weights(tmp_path / "source", tmp_path)
    monkeypatch.setattr(OpenVinoEncoder, "precisions", lambda: ("fp32",))
    monkeypatch.setattr(load, "_has_gpu", lambda: False)
    with caplog.at_level(logging.WARNING):
        encoder = load.open_encoder(tmp_path / "weights", config, precision="bf16")
    assert encoder.precision == "fp32"
    assert "fp32 (baked for bf16, which this processor does not have)" in encoder.runtime
    assert "no instructions for bf16" in caplog.text
