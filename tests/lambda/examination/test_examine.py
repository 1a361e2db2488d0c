"""Which answers agree with what the bake recorded."""

from __future__ import annotations

import math
import struct
from base64 import b64encode

import pytest

from examination.examine import Probe

PROBE = Probe("b" * 64, "Is R supported?", ["9", "4", "2"], [0.92, 0.5, 0.4])
TIED = Probe("b" * 64, "Is R supported?", ["a", "b", "c"], [0.9, 0.5, 0.5])


def difference(probe: Probe, found: list[tuple[str, float]], tolerance: float = 0.005):
    return probe.difference([{"id": e, "score": score} for e, score in found], tolerance)


@pytest.mark.parametrize(
    ("probe", "found"),
    [
        (PROBE, [("9", 0.92), ("4", 0.5), ("2", 0.4)]),
        (PROBE, [("9", 0.924), ("4", 0.496), ("2", 0.4)]),
        # More than the probe has, because another probe is longer.
        (PROBE, [("9", 0.92), ("4", 0.5), ("2", 0.4), ("8", 0.39)]),
        # Tied entries may change places, and one tied with the last place may take it.
        (TIED, [("a", 0.9), ("c", 0.5), ("b", 0.5)]),
        (TIED, [("a", 0.9), ("b", 0.5), ("d", 0.5)]),
    ],
)
def test_within_the_tolerance_answers_agree(probe, found):
    assert difference(probe, found) is None


@pytest.mark.parametrize(
    ("probe", "found"),
    [
        (PROBE, [("9", 0.926), ("4", 0.5), ("2", 0.4)]),
        (PROBE, [("4", 0.92), ("9", 0.5), ("2", 0.4)]),
        (PROBE, [("9", 0.92), ("4", 0.5), ("3", 0.5)]),
        (PROBE, [("9", 0.92), ("4", 0.5)]),
        (PROBE, [("9", 0.92), ("9", 0.92), ("2", 0.4)]),
        (PROBE, [("9", math.nan), ("4", 0.5), ("2", 0.4)]),
        (PROBE, []),
        (TIED, [("d", 0.9), ("b", 0.5), ("c", 0.5)]),
    ],
)
def test_other_answers_differ(probe, found):
    assert difference(probe, found)


def as_text(numbers: list[float]) -> str:
    return b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


EMBEDDED = Probe("b" * 64, "Is R supported?", embedding=[0.6, 0.8])


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([0.6, 0.8], None),
        ([0.61, 0.79], None),
        ([0.8, 0.6], "another vector than bake"),
        ([math.nan, 0.8], "another vector than bake"),
        ([0.6, 0.8, 0.0], "3 numbers instead of 2"),
    ],
)
def test_a_bake_without_a_corpus_recorded_vectors(found, said):
    difference = EMBEDDED.difference(as_text(found), 0.005)
    assert (difference is None) if said is None else (said in difference)


def test_a_smaller_tolerance_is_respected():
    found = [("9", 0.924), ("4", 0.5), ("2", 0.4)]
    assert difference(PROBE, found) is None
    assert difference(PROBE, found, tolerance=0.001)


def test_a_difference_is_described():
    assert difference(PROBE, [("4", 0.92)]) == (
        'for the query "Is R supported?" it finds 4 (0.9200), but bake ' + "b" * 64 + " recorded"
        " 9 (0.9200), 4 (0.5000), 2 (0.4000)"
    )
