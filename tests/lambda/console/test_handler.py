"""The console's function: the page's files, with headers that keep everything else out."""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

STATIC = Path(__file__).parents[3] / "lambda/console/static"
UPLOADS = "https://batches.s3.eu-west-1.amazonaws.com"


@pytest.fixture
def get(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Asks for a file below /console, with headers."""
    variables = {"API_AUTH": "api_key", "AWS_REGION": "eu-west-1", "UPLOAD_ORIGIN": UPLOADS}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delitem(sys.modules, "console.handler", raising=False)
    handler = importlib.import_module("console.handler").handler

    def ask(name: str | None = None, **headers: str) -> dict[str, Any]:
        return handler(
            {
                "pathParameters": None if name is None else {"proxy": name},
                "headers": {key.replace("_", "-"): value for key, value in headers.items()} or None,
                "requestContext": {"requestId": "r-1"},
            },
            None,
        )

    return ask


def test_the_page_is_there_with_everything_it_links_to(get) -> None:
    page = get()
    assert page["statusCode"] == 200
    assert page["headers"]["Content-Type"] == "text/html; charset=utf-8"
    links = re.findall(r'(?:href|src)="(?!#)([^"]+)"', page["body"])
    assert all(link.startswith("console/") for link in links)
    scripts = {path.name for path in STATIC.glob("*.js")}
    assert scripts <= {link.removeprefix("console/") for link in links}
    for link in links:
        # From `/v1/console`, and from `/v1/console/`.
        for name in (link.removeprefix("console/"), link):
            assert get(name)["statusCode"] == 200


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("app.js", "text/javascript; charset=utf-8"),
        ("console.css", "text/css; charset=utf-8"),
        ("favicon.svg", "image/svg+xml; charset=utf-8"),
        ("config.json", "application/json; charset=utf-8"),
    ],
)
def test_files_say_what_they_are(get, name: str, media_type: str) -> None:
    assert get(name)["headers"]["Content-Type"] == media_type


def test_the_page_learns_how_to_sign_in_and_nothing_else(get) -> None:
    assert json.loads(get("config.json")["body"]) == {"auth": "api_key", "region": "eu-west-1"}


@pytest.mark.parametrize("name", ["nothing.js", "../handler.py", "static/app.js", "__pycache__"])
def test_anything_else_is_not_found(get, name: str) -> None:
    answer = get(name)
    assert answer["statusCode"] == 404
    assert json.loads(answer["body"])["code"] == "not_found"
    assert json.loads(answer["body"])["request_id"] == "r-1"


@pytest.mark.parametrize("name", [None, "app.js", "nothing"])
def test_the_policy_lets_in_nothing_but_the_page_and_the_uploads(get, name: str | None) -> None:
    headers = get(name)["headers"]
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy.pop("connect-src") == f"'self' {UPLOADS}"
    assert policy.pop("require-trusted-types-for") == "'script'"
    for directive in ("script-src", "style-src", "img-src"):
        assert policy.pop(directive) == "'self'"
    assert "default-src" in policy and "frame-ancestors" in policy and "base-uri" in policy
    assert set(policy.values()) == {"'none'"}
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"


def test_a_file_that_the_browser_has_is_not_sent_again(get) -> None:
    tag = get("app.js")["headers"]["ETag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}'):
        for header in ("If-None-Match", "if-none-match"):
            answer = get("app.js", **{header: known})
            assert (answer["statusCode"], answer["body"]) == (304, "")
            assert answer["headers"]["ETag"] == tag
    assert get("app.js", If_None_Match='"other"')["statusCode"] == 200
    assert get("ask.js")["headers"]["ETag"] != tag


def test_both_languages_say_the_same_things() -> None:
    """The keys of both, and the places that values take in each sentence."""
    english, russian = (STATIC / "texts.js").read_text(encoding="utf-8").split("  ru: {")
    keys = [re.findall(r"^    (\w+):", part, re.MULTILINE) for part in (english, russian)]
    assert keys[0] == keys[1]
    assert len(keys[0]) == len(set(keys[0]))
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    assert set(re.findall(r'data-(?:text|label)="(\w+)"', page)) <= set(keys[0])
