"""The short form of `make attack`, as far as it needs a deployment; the rest is in tests/attack."""

from __future__ import annotations

from tests.attack import kills, raw_http, rest_api
from tests.attack.campaign import Part
from tests.end_to_end.local_app import LocalApp

SEED = 13


def test_requests_made_from_the_description(app: LocalApp) -> None:
    part = Part("rest-api", SEED, short=True)
    rest_api.attack(part, app, 400)
    assert part.findings == []
    assert sum(count for status, count in part.statuses.items() if status[0] == "4") > 200


def test_hostile_http(app: LocalApp) -> None:
    part = Part("http", SEED, short=True)
    raw_http.attack(part, app, 100)
    assert part.findings == []


def test_killed_processes_lose_no_request(app: LocalApp) -> None:
    part = Part("kills", SEED, short=True)
    kills.attack(part, app, 3)
    assert part.findings == []
    assert part.notes["requests"] > 10
