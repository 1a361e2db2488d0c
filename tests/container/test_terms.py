"""The words by which texts are compared."""

from __future__ import annotations

import pytest

from container.search.terms import key, terms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Is R supported?", ["is", "r", "supported", "<suppo"]),
        ("Kosten, KOSTEN; costs", ["kosten", "<koste", "kosten", "<koste", "costs"]),
        ("Straße ﬁn", ["strasse", "<stras", "fin"]),
        ("ml.c6i.xlarge_2", ["ml", "c6i", "xlarge_2", "<xlarg"]),
        ("部署端点", ["部署", "署端", "端点"]),
        ("用", ["用"]),
        ("SageMaker部署x", ["sagemaker", "<sagem", "部署", "x"]),
        ("ราคา", ["รา", "าค", "คา"]),
        ("모델을", ["모델", "델을"]),
        ("हिन्दी", ["हिन्दी", "<हिन्द"]),
        ("Ёлка", ["ёлка"]),
        ("?! ...", []),
    ],
)
def test_terms(text, expected):
    assert terms(text) == expected


def test_forms_that_look_alike_are_the_same_term():
    assert terms("cafe\u0301") == terms("café") == ["café"]
    assert terms("\uff26\uff21\uff31") == terms("faq")


def test_a_key_stands_for_one_term():
    assert key("red") != key("<red")
    assert 0 <= key("red") < 1 << 64
    assert key("\ud800") != key("\ud801")
