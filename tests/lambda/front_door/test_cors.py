"""Pages elsewhere: the answers say which may read them."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.support.front_door import Context, FrontDoor, event, front_door

PAGE = "https://www.example.com"


@pytest.fixture
def asked_from_pages() -> Iterator[FrontDoor]:
    with front_door(CORS_ORIGINS=json.dumps([PAGE, "http://localhost:3000"])) as door:
        yield door


def headers(door: FrontDoor, origin: str | None, path: str = "/endpoints") -> dict[str, list[str]]:
    asked = event(path, method="GET")
    if origin:
        asked["headers"] = {**asked["headers"], "origin": origin}
    return door.handler.handler(asked, Context())["multiValueHeaders"]


@pytest.mark.parametrize("path", ["/endpoints", "/nothing"])
def test_a_page_that_the_settings_name_may_read_answers_and_errors(
    asked_from_pages: FrontDoor, path: str
) -> None:
    found = headers(asked_from_pages, PAGE, path)
    assert found["Access-Control-Allow-Origin"] == [PAGE]
    assert found["Access-Control-Expose-Headers"] == ["Retry-After"]
    assert found["Vary"] == ["Origin"]
    assert "Access-Control-Allow-Credentials" not in found


@pytest.mark.parametrize("origin", ["https://evil.example", f"{PAGE}.evil.example", "null", None])
def test_no_other_may(asked_from_pages: FrontDoor, origin: str | None) -> None:
    found = headers(asked_from_pages, origin)
    assert "Access-Control-Allow-Origin" not in found
    assert found["Vary"] == ["Origin"]  # or a cache could give one page the answer for another


def test_by_default_there_is_none(door: FrontDoor) -> None:
    assert not {"Vary", "Access-Control-Allow-Origin"} & set(headers(door, PAGE))
