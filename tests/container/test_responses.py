"""Answers as JSON: the shortest text of each float32, and record ids exactly as given."""

from __future__ import annotations

import json

import numpy as np
import pytest

from container.serving.responses import dumps, record_error_json, record_json


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng, count: rng.normal(0, 0.05, count).astype(np.float32),
        lambda rng, count: rng.integers(0, 2**32, count, dtype=np.uint32).view(np.float32),
    ],
    ids=["a unit vector's", "any"],
)
def test_every_number_has_the_value_of_the_shortest_text(draw):
    numbers = draw(np.random.default_rng(5), 200_000)
    numbers = numbers[np.isfinite(numbers)]
    written = json.loads(dumps(numbers))
    assert written == numbers.astype(str).astype(np.float64).tolist()
    np.testing.assert_array_equal(np.array(written, dtype=np.float32), numbers)


def test_scores_are_as_short():
    assert dumps({"score": np.float32(0.1)}) == b'{"score":0.1}'


@pytest.mark.parametrize("record_id", [7, 10**100, -0.5, "a", "ж", "\ud800", ""])
def test_an_id_comes_back_as_it_was(record_id):
    vector = np.array([0.25, -1], dtype=np.float32)
    assert json.loads(record_json(record_id, vector)) == {"id": record_id, "embedding": [0.25, -1]}
    assert json.loads(record_error_json(record_id, "no")) == {"id": record_id, "error": "no"}
