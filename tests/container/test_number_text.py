"""Numbers as text: digit for digit numpy's own, and read back as the same float32."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from container.serving.responses import vectors_lists

SMALLEST_PLAIN, ONE = (int(np.float32(n).view(np.uint32)) for n in (1e-4, 1))


def as_numpy_writes(vectors):
    return ["[" + ",".join(vector.astype(str).tolist()) + "]" for vector in vectors]


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng, shape: rng.normal(0, 0.05, shape),  # a unit vector's
        lambda rng, shape: rng.uniform(-1, 1, shape),
        lambda rng, shape: 10 ** rng.uniform(-8, 8.9, shape),
        lambda rng, shape: np.round(rng.uniform(-1, 1, shape), 3),
        # Every pattern of bits alike, so that exponents' borders are met.
        lambda rng, shape: rng.integers(SMALLEST_PLAIN, ONE, shape, np.uint32).view(np.float32),
    ],
)
def test_every_number_as_numpy_writes_it(draw):
    vectors = draw(np.random.default_rng(5), (150, 1024)).astype(np.float32)
    lists = vectors_lists(vectors)
    assert lists == as_numpy_writes(vectors)
    assert np.array_equal(np.array(list(map(json.loads, lists)), np.float32), vectors)


def test_neighbours_of_the_powers_of_ten_and_two():
    borders = [10.0**n for n in range(-7, 4)] + [2.0**n for n in range(-20, 4)]
    numbers = []
    for border in np.array(borders, np.float32):
        below, above = (np.nextafter(border, np.float32(side)) for side in (-math.inf, math.inf))
        numbers += [below, border, above, -below, -border, -above]
    vectors = np.array([numbers], np.float32)
    assert vectors_lists(vectors) == as_numpy_writes(vectors)


@pytest.mark.parametrize(
    "number", [0.0, -0.0, 1e-45, -1.1754944e-38, 9.999999e8, 1e9, 3.4028235e38]
)
def test_numbers_that_are_not_a_unit_vectors(number):
    vectors = np.array([[0.5, number], [-number, 0.25]], np.float32)
    lists = vectors_lists(vectors)
    assert lists == as_numpy_writes(vectors)
    assert np.array_equal(np.array(list(map(json.loads, lists)), np.float32), vectors)


@pytest.mark.parametrize("shape", [(0, 384), (1, 1), (7, 3), (40, 384), (2, 10_000)])
def test_any_shape(shape):
    vectors = np.random.default_rng(6).normal(0, 0.3, shape).astype(np.float32)
    assert vectors_lists(vectors) == as_numpy_writes(vectors)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_in_json_is_refused(number):
    with pytest.raises(FloatingPointError, match="not finite"):
        vectors_lists(np.array([[0.5, number]], np.float32))
