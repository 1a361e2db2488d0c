"""Markup does not count for the vectors; what only looks like it does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.markup import plain_text


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("<p>Open <b>now</b>.<br/>Come&nbsp;in!</p>", "Open now.\nCome\xa0in!"),
        ('<a href="https://x/?a=1&b=2">Here</a> &amp; there', "Here & there"),
        ("<ul>\n <li>one</li>\n <li>two</li></ul>", "one\ntwo"),
        ("<script>x()</script>Yes<style>p {}</style>", "Yes"),
        ('<img src="x" alt="A map"> shows it', "A map shows it"),
        ("Yes<!-- no -->.", "Yes."),
        ("Fish &amp; chips &#8211; &#x32;", "Fish & chips – 2"),
        ("# Go\n\n1. **Open** [it](https://x/a_(b))\n2. `it`", "Go\n\n1. Open it\n2. it"),
        ("- one\n* two\n  + three", "one\ntwo\n  three"),
        ("> quoted\n> text", "quoted\ntext"),
        ("| a | b |\n|---|:-:|\n| 1 | 2 |", "a   b\n1   2"),
        ("```python\nprint(1)\n```\nDone", "print(1)\nDone"),
        ("~~old~~ *new* ***both*** _one_ __two__", "old new both one two"),
        ("![A map](map.png)", "A map"),
    ],
)  # fmt: skip
def test_markup_goes_and_its_text_stays(text, plain):
    assert plain_text(text) == plain


@pytest.mark.parametrize(
    "text",
    [
        "  spaces \r\n and\ttabs  ",
        "a < b and c > d",
        "List<String> and <your-name>",
        "Fish & chips; AT&T; ?a=1&copy=2",
        "2 * 3 * 4 = 24 and 2*3*4",
        "snake_case_name stays",
        "C# and #1",
        "~5 km, a|b, [x], (y)",
        "5 - 3",
        "日本語 👩‍👧 e\u0301",
    ],
)
def test_what_is_no_markup_stays_as_it_is(text):
    assert plain_text(text) == text


@given(st.text("<>/&;ab *_`#|[]()!-~\n", max_size=80))
def test_any_text_is_read(text):
    assert isinstance(plain_text(text), str)
