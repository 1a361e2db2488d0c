"""HTML and Markdown as plain text: what a model reads of a text that people see with its markup."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser

_INLINE = """
a abbr acronym b bdi bdo big cite code data del dfn em font i img ins kbd label mark q s samp small
span strike strong sub sup time tt u var wbr
"""
_BLOCK = """
address article aside blockquote body br button caption center col colgroup dd details div dl dt
figcaption figure footer form h1 h2 h3 h4 h5 h6 head header hr html iframe input legend li link main
meta nav ol optgroup option p pre section select source summary table tbody td textarea tfoot th
thead title tr ul video audio
"""
_SILENT = frozenset({"script", "style", "template", "noscript"})
_BLOCKS = frozenset(_BLOCK.split())
_KNOWN = _SILENT | _BLOCKS | frozenset(_INLINE.split())
_TAG = re.compile(r"</?([a-zA-Z][a-zA-Z0-9]*)(\s[^<>]*)?/?>|<!--")
_ENTITY = re.compile(r"&(#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")

# Whether there may be Markdown: fast, because all it finds begins with one class of characters.
_MARKDOWN = re.compile(r"[*_~`#>|\[\n](?:(?<!\n)|\s*[-+]\s)")
_MARKDOWN_FIRST = re.compile(r"\s*[-+]\s")
_LINK = r"\]\([^()\s]*(?:\([^()\s]*\)[^()\s]*)?(?:\s+\"[^\"\n]*\")?\)"
_RULES = tuple(
    (re.compile(pattern, re.MULTILINE), replacement)
    for pattern, replacement in (
        (r"^[ \t]*(?:```|~~~).*\n?", ""),  # fences
        (rf"!\[([^\]\n]*){_LINK}", r"\1"),  # pictures
        (rf"\[([^\[\]\n]+){_LINK}", r"\1"),  # links
        (r"^ {0,3}#{1,6}[ \t]+(.*?)[ \t]*#*[ \t]*$", r"\1"),  # headings
        (r"^ {0,3}-{3,}[ \t]*$\n?", ""),  # rules
        (r"^[ \t]*\|?(?:[ \t]*:?-+:?[ \t]*\|)+(?:[ \t]*:?-+:?)?[ \t]*$\n?", ""),  # of tables
        (r"^[ \t]*>[ \t]?", ""),  # quotations
        (r"^([ \t]*)[-*+][ \t]+(?=\S)", r"\1"),  # lists
        (r"(?<![\w*])(\*{1,3})(?=\S)([^*\n]+?)(?<=\S)\1(?![\w*])", r"\2"),  # emphasis
        (r"(?<!\w)__(?=\S)([^_\n]+?)(?<=\S)__(?!\w)", r"\1"),
        (r"(?<!\w)_(?=\S)([^_\n]+?)(?<=\S)_(?!\w)", r"\1"),
        (r"~~(?=\S)([^~\n]+?)(?<=\S)~~", r"\1"),
        (r"(`+)([^`\n]+)\1", r"\2"),  # code
    )
)
_TABLE_ROW = re.compile(r"^[ \t]*\|(.*)\|[ \t]*$", re.MULTILINE)


def plain_text(text: str) -> str:
    """A text without HTML tags, entities and Markdown; as it is where it has none of them.

    Only tags that HTML knows are taken for tags, so `a < b` and `List<String>` stay. The texts of
    links and pictures stay, their addresses go.
    """
    if "<" in text and any(_is_tag(found) for found in _TAG.finditer(text)):
        parser = _Parser()
        parser.feed(text)
        parser.close()
        text = re.sub(r"[ \t]*\n\s*", "\n", parser.text).strip()
    elif "&" in text:
        text = _ENTITY.sub(lambda found: html.unescape(found[0]), text)
    if _MARKDOWN.search(text) or _MARKDOWN_FIRST.match(text):
        for pattern, replacement in _RULES:
            text = pattern.sub(replacement, text)
        text = _TABLE_ROW.sub(lambda row: row[1].replace("|", " ").strip(), text)
    return text


def _is_tag(found: re.Match[str]) -> bool:
    return found[1] is None or found[1].lower() in _KNOWN


class _Parser(HTMLParser):
    """Collects the text between tags; a block's tag ends a line."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._parts: list[str] = []
        self._silent = 0

    @property
    def text(self) -> str:
        return "".join(self._parts)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _KNOWN:
            self.handle_data(self.get_starttag_text() or "")
        elif tag in _SILENT:
            self._silent += 1
        elif tag == "img":
            self.handle_data(dict(attrs).get("alt") or "")
        elif tag in _BLOCKS:
            self._parts.append("\n")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _SILENT:
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag not in _KNOWN:
            self.handle_data(f"</{tag}>")
        elif tag in _SILENT:
            self._silent = max(0, self._silent - 1)
        elif tag in _BLOCKS:
            self._parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self._parts.append(data)
