"""The load of `make overload`: what counts as lost, how large bodies are, and when it is idle."""

from __future__ import annotations

import json
import threading

import pytest

from bench.overload import Caller, nearest_body, overload, seconds_until_idle
from front_door.requests import MAX_TEXTS, NearestRequest
from rest.body import MAX_BODY_BYTES


@pytest.mark.parametrize("size", [MAX_BODY_BYTES, 100_000])
def test_a_large_body_is_one_that_the_api_takes(size):
    body = nearest_body(size)
    assert 0.9 * size < len(body) <= size
    request = NearestRequest.model_validate_json(body)
    assert 2_000 < len(request.corpus) <= MAX_TEXTS
    assert len(json.loads(nearest_body(MAX_BODY_BYTES))["corpus"]) == 9_900


def test_small_searches_are_counted_beside_large_requests():
    """Those of one caller fail from the third on."""
    statuses = iter([200, 200])
    asked = threading.Event()

    def ask():
        asked.set()
        return next(statuses, 503)

    found = overload(
        [Caller(lambda: 429, refused_pause=0.01)] * 2,
        [Caller(lambda: 200, 0.01), Caller(ask, 0.01, 0.01)],
        seconds=0.3,
    )
    assert set(found.large) == {429}
    assert found.small[503] > 2
    assert found.small[200] == len(found.small_seconds) > 3
    assert f"lost {found.small[503]} " in str(found)
    assert "gone: unknown" in str(found)


def test_it_is_idle_once_nothing_computes_any_longer(monkeypatch):
    now, used = [0.0], [0.0]
    monkeypatch.setattr("bench.overload.time.monotonic", lambda: now[0])

    def sleep(seconds):
        now[0] += seconds
        used[0] += seconds if now[0] <= 3 else 0.001

    monkeypatch.setattr("bench.overload.time.sleep", sleep)
    assert seconds_until_idle(lambda: used[0]) == pytest.approx(3, abs=0.3)
    assert seconds_until_idle(lambda: now[0], most=10) is None, "it computes on"
