"""Makes the pictures of docs/console.md: `make screenshots`."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.callers.conftest import OpenPage
from tests.callers.test_console import compare_example, put_question
from tests.end_to_end.local_app import ROOT

IMAGES = ROOT / "docs/images"


def test_ask(signed_in: OpenPage) -> None:
    page = signed_in(viewport={"width": 920, "height": 760}, color_scheme="light")
    put_question(page, "How do I stop paying for an endpoint I no longer need?")
    page.locator("#question").blur()
    page.screenshot(path=IMAGES / "console-ask.png")


def test_compare(signed_in: OpenPage) -> None:
    page = signed_in(viewport={"width": 920, "height": 790}, color_scheme="dark", locale="ru-RU")
    compare_example(page)
    page.locator("#heat-map").scroll_into_view_if_needed()
    expect(page.locator("#heat-map caption")).to_be_in_viewport()
    page.screenshot(path=IMAGES / "console-compare.png")
