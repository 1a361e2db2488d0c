"""The sample corpus: readable, varied, and paraphrased in other words."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

import corpus
from corpus.reader import read_corpus

SAMPLE = Path(corpus.__file__).parent / "sample"


@pytest.fixture(scope="module")
def entries():
    return {entry.id: entry for entry in read_corpus(SAMPLE / "amazon_sagemaker_faq.csv")}


@pytest.fixture(scope="module")
def paraphrases():
    with (SAMPLE / "paraphrases.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z0-9]+", text.lower()))


def overlap(one: str, other: str) -> float:
    """Jaccard index of the words of two texts."""
    return len(words(one) & words(other)) / len(words(one) | words(other))


def test_the_corpus_is_large_enough_and_repeats_nothing(entries):
    assert len(entries) >= 160
    assert len({entry.question for entry in entries.values()}) == len(entries)
    assert len({entry.answer for entry in entries.values()}) == len(entries)


def test_answers_are_one_to_four_sentences_of_prose(entries):
    for entry in entries.values():
        assert entry.question.endswith("?"), entry.question
        assert 1 <= len(re.findall(r"[.](?= [A-Z]|$)", entry.answer)) <= 5, entry.answer
        assert 60 <= len(entry.answer) <= 500, entry.answer


def test_each_paraphrase_names_the_entry_that_answers_it(entries, paraphrases):
    assert len(paraphrases) >= 80
    assert len({row["question"] for row in paraphrases}) == len(paraphrases)
    unknown = [row for row in paraphrases if row["id"] not in entries]
    assert not unknown
    assert len({row["id"] for row in paraphrases}) >= 80


def test_paraphrases_are_not_the_corpus_in_disguise(entries, paraphrases):
    own = {entry.question.casefold() for entry in entries.values()}
    assert not [row for row in paraphrases if row["question"].casefold() in own]
    overlaps = [overlap(row["question"], entries[row["id"]].question) for row in paraphrases]
    assert max(overlaps) < 0.5
    assert sum(value > 0.2 for value in overlaps) < len(overlaps) / 20


def test_the_walk_through_s_own_question_is_answered(entries, paraphrases):
    ids = [
        row["id"]
        for row in paraphrases
        if row["question"] == "Is R supported with Amazon SageMaker?"
    ]
    assert [entries[entry_id].question for entry_id in ids] == ["Can I use R in SageMaker?"]


def test_the_multilingual_corpus_has_ids_and_three_scripts():
    entries = read_corpus(SAMPLE / "multilingual.jsonl")
    assert {entry.id.split("-")[0] for entry in entries} == {"de", "ru", "zh"}
    text = "".join(entry.answer for entry in entries)
    assert re.search(r"[äöüß]", text)
    assert re.search(r"[\u0430-\u044f]", text)
    assert re.search(r"[\u4e00-\u9fff]", text)
