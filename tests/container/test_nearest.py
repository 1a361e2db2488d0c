"""The search against brute force."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from container.search import nearest as nearest_module
from container.search import selection
from container.search.nearest import nearest, normalized


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_agrees_with_brute_force(data):
    """Small whole numbers multiply exactly, so ties are many and real."""
    entries = data.draw(st.integers(1, 40))
    seed = data.draw(st.integers(0, 10_000))
    rng = np.random.default_rng(seed)
    rows = rng.integers(-2, 3, (entries, 3)).astype(np.float32)
    queries = rng.integers(-2, 3, (data.draw(st.integers(1, 4)), 3)).astype(np.float32)
    top_k = data.draw(st.integers(1, 50))
    block = data.draw(st.sampled_from([8, 64, 4 << 20]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nearest_module, "BLOCK_BYTES", block)
        patch.setattr(nearest_module, "MOST_QUERIES", data.draw(st.integers(1, 5)))
        patch.setattr(selection, "LEAST_GROUPS", data.draw(st.sampled_from([1, 8, 128])))
        patch.setattr(selection, "GROUPS_PER_HIT", data.draw(st.sampled_from([1, 8])))
        found = nearest(queries, rows, top_k)
    for query, matches in zip(queries, found, strict=True):
        scores = rows @ query
        expected = sorted(range(entries), key=lambda number: (-scores[number], number))[:top_k]
        assert [position for position, _ in matches] == expected
        assert [score for _, score in matches] == [float(scores[n]) for n in expected]


@pytest.mark.parametrize("order", ["rising", "falling", "equal"])
def test_any_order_of_scores(order):
    """Rising scores make every row better than all before it."""
    scores = np.linspace(-1, 1, 5000, dtype=np.float32)
    if order == "falling":
        scores = scores[::-1]
    if order == "equal":
        scores = np.zeros_like(scores)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nearest_module, "BLOCK_BYTES", 4 * 700)
        (found,) = nearest(np.ones((1, 1), dtype=np.float32), scores[:, np.newaxis], 120)
    expected = np.argsort(-scores, kind="stable")[:120]
    assert found == [(int(n), float(scores[n])) for n in expected]


def test_no_queries_and_no_hits_wanted():
    rows = np.eye(3, dtype=np.float32)
    assert nearest(np.empty((0, 3), dtype=np.float32), rows, 2) == []


def test_a_zero_vector_stays_zero():
    assert normalized(np.zeros((1, 3), dtype=np.float32)).tolist() == [[0, 0, 0]]
