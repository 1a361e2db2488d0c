"""The simulated build of an index."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.index_build import Plan, rows, simulate, simulate_loading

PLAN = Plan(
    entries=100_000,
    model="all-MiniLM-L6-v2",
    instance_type="ml.c6i.xlarge",
    instances=2,
    tokens_an_entry=90,
    precision="fp32",
    loaders=4,
    vectors_a_second=10_000,
    vectors_a_call=500,
    call_seconds=0.5,
    processor_seconds=0.5,
    start_seconds=360,
)


def test_slow_loaders_are_never_refused() -> None:
    loaded = simulate_loading(PLAN)
    assert (loaded.calls, loaded.refused) == (200, 0)
    # Four loaders, a call a second each.
    assert loaded.seconds == pytest.approx(50, abs=1.5)


def test_loaders_keep_to_their_shares() -> None:
    loaded = simulate_loading(replace(PLAN, loaders=8, vectors_a_second=2400))
    # Their first calls together are more than a second's worth.
    assert (loaded.calls, loaded.refused) == (200, 3)
    assert loaded.seconds == pytest.approx(100_000 / 2400, abs=2.5)


def test_the_limit_holds_for_any_number_of_loaders() -> None:
    loaded = simulate_loading(replace(PLAN, loaders=32))
    assert loaded.calls == 200
    assert loaded.refused > 50
    # A second's worth passes at once.
    assert 39 < loaded.seconds < 44
    alone = simulate_loading(replace(PLAN, entries=3000, vectors_a_call=1, loaders=5000))
    assert alone.calls == 3000
    assert alone.seconds > 2


def test_more_instances_cost_about_as_much() -> None:
    one, ten = (simulate(replace(PLAN, instances=number)) for number in (1, 10))
    seconds = 100_000 * 90 * 2 / (one.tokens_a_second * 0.9)
    assert one.encoding_hours == pytest.approx((360 + seconds) / 3600)
    assert ten.encoding_hours == pytest.approx((360 + seconds / 10) / 3600)
    assert one.dollars["PutVectors"] == ten.dollars["PutVectors"]
    assert ("PutVectors calls", "200, and 0 refused (429)") in rows(PLAN, one)


def test_an_instance_type_of_unknown_speed() -> None:
    with pytest.raises(ValueError, match=r"ml\.p3\.2xlarge is unknown"):
        simulate(replace(PLAN, instance_type="ml.p3.2xlarge"))
