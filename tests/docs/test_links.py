"""Links between the pages, and their anchors, as GitHub resolves them."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("corpus/**/*.md")]
_LINK = re.compile(r"\]\(([^()\s]+)\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    links = [link for link in _LINK.findall(_prose(page)) if "://" not in link]
    assert [link for link in links if not _resolves(page, link)] == []


def test_a_link_to_a_missing_heading_or_file_is_found() -> None:
    page = ROOT / "docs/operations.md"
    assert _resolves(page, "monitoring.md#alarms")
    assert not _resolves(page, "monitoring.md#no-such-heading")
    assert not _resolves(page, "no-such-page.md")


def _resolves(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = page.parent / path if path else page
    return target.exists() and (not anchor or anchor in _anchors(target.resolve()))


@cache
def _anchors(page: Path) -> frozenset[str]:
    headings = re.findall(r"^#+ (.+)$", _prose(page), flags=re.MULTILINE)
    words = (re.sub(r"[^\w\- ]", "", heading.lower()).strip() for heading in headings)
    return frozenset(heading.replace(" ", "-") for heading in words)


def _prose(page: Path) -> str:
    """The page without code blocks, whose comments look like headings."""
    return re.sub(r"^ *```.*?^ *```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
