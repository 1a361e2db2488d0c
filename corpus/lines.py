"""The text of a file: its encoding, and its lines one at a time."""

from __future__ import annotations

import codecs
import io
import unicodedata
from collections.abc import Iterator
from typing import BinaryIO

from corpus.entry import MAX_LINE_BYTES
from corpus.errors import Problems, shown

_HEAD_BYTES = 65_536
_MARKS = (  # UTF-32's little-endian mark begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_OTHER_FILES = (
    (b"PK\x03\x04", "an Excel workbook or another zip file; if it is a workbook, name it .xlsx"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook (.xls); save it as .xlsx"),
    (b"\x1f\x8b", "compressed; unpack it (gunzip)"),
    (b"%PDF", "a PDF; a corpus is a table or a JSON file"),
    (b"<!doctype html", "a web page; download the file itself, not the page that shows it"),
    (b"<html", "a web page; download the file itself, not the page that shows it"),
)
# Encodings that files without UTF-8 have, the likeliest first.
_LEGACY = (
    *("cp1252", "cp1250", "cp1251", "cp932", "gb18030", "cp949", "big5"),
    *("cp1253", "cp1254", "cp1255", "cp1256", "mac-roman", "cp850", "koi8-r"),
)


_TYPOGRAPHY = frozenset("‘’“”„‚–—…«»€£§°·•\xa0、。，？！：「」（）")
_CJK = frozenset({"CJK", "HIRAGANA", "KATAKANA", "HANGUL"})


class Lines:
    """Iterates over the lines of a file as text, with their line ends.

    Lines end at LF only: CRLF stays in the text, and what else Unicode calls a line separator is
    ordinary text. Byte-order marks are dropped. UTF-8 is read line by line; any other encoding, and
    a file whose lines end with CR, at once.

    Args:
        stream: the open file.
        encoding: its encoding; by default UTF-8, or UTF-16 or UTF-32 by their marks.

    Attributes:
        row: the number of the latest line, from 1; 0 before the first.
    """

    def __init__(self, stream: BinaryIO, problems: Problems, encoding: str | None = None) -> None:
        self._problems = problems
        self.row = 0
        head = stream.read(_HEAD_BYTES)
        stream.seek(0)
        self._refuse_other_files(head)
        encoding = encoding or next((name for mark, name in _MARKS if head.startswith(mark)), None)
        if encoding is not None:
            stream = io.BytesIO(self._decoded(stream.read(), encoding).encode())
        elif b"\r" in head and b"\n" not in head:  # as on old Macs
            stream = io.BytesIO(stream.read().replace(b"\r", b"\n"))
        else:
            self._refuse_unmarked_utf16(head)
        self._stream = stream

    def __iter__(self) -> Iterator[str]:
        offset = 0
        others_are_utf8 = False
        while raw := self._stream.readline(MAX_LINE_BYTES + 1):
            self.row += 1
            if len(raw) > MAX_LINE_BYTES:
                raise self._problems.stop(
                    self.row,
                    f"row too large: longer than {MAX_LINE_BYTES:,} bytes; a text has at most"
                    " 100,000 bytes. The rest of the file was not read",
                )
            if b"\0" in raw:
                raise self._problems.stop(
                    self.row,
                    f"NUL byte at byte offset {offset + raw.index(0)}; a corpus is plain text",
                )
            try:
                line = raw.decode("utf-8")
            except UnicodeDecodeError as error:
                raise self._problems.stop(
                    self.row,
                    f"not UTF-8: byte 0x{raw[error.start]:02x} at byte offset "
                    f"{offset + error.start}. {_advice(raw, error.start, others_are_utf8)}",
                ) from None
            others_are_utf8 = others_are_utf8 or not line.lstrip("\ufeff").isascii()
            offset += len(raw)
            yield line.lstrip("\ufeff") if self.row == 1 else line

    def _decoded(self, raw: bytes, encoding: str) -> str:
        try:
            return raw.decode(encoding)
        except LookupError:
            raise self._problems.stop(
                None,
                f"unknown encoding {encoding!r}; known are utf-8, utf-16, cp1252, cp1251,"
                " shift_jis, gb18030 and Python's other text encodings",
            ) from None
        except UnicodeError as error:
            start = error.start if isinstance(error, UnicodeDecodeError) else 0
            row = raw[:start].decode(encoding, errors="ignore").count("\n") + 1
            raise self._problems.stop(
                row,
                f"not {encoding}: byte 0x{raw[start]:02x} at byte offset {start}"
                f" ({getattr(error, 'reason', error)}); name the file's own encoding",
            ) from None

    def _refuse_other_files(self, head: bytes) -> None:
        start = head.lstrip()[:16].lower()
        for signature, what in _OTHER_FILES:
            if start.startswith(signature.lower()):
                raise self._problems.stop(None, f"this is {what}")

    def _refuse_unmarked_utf16(self, head: bytes) -> None:
        pairs = len(head) // 2
        for encoding, zeros in (("utf-16-le", head[1::2]), ("utf-16-be", head[0::2])):
            if pairs and zeros.count(0) > 0.4 * pairs:
                raise self._problems.stop(
                    1,
                    f"NUL bytes: this looks like UTF-16 without its mark; save it as UTF-8, or name"
                    f" the encoding: --encoding {encoding}",
                )


def _advice(raw: bytes, start: int, others_are_utf8: bool) -> str:
    save = "Save the file as UTF-8 (Excel: CSV UTF-8)"
    likely = _likely_encodings(raw, start)
    readings = ", ".join(f"{name} reads {shown(text)}" for name, text in likely)
    if others_are_utf8:
        return f"Other rows are UTF-8, so this row was damaged: {readings}. Correct it"
    return f"{save}, or name its encoding with --encoding: {readings}"


def _likely_encodings(raw: bytes, start: int) -> list[tuple[str, str]]:
    """Three encodings in which a line makes most sense, and how each reads the place."""
    found: dict[str, tuple[int, str]] = {}
    for name in _LEGACY:
        try:
            text = raw.decode(name).strip()
            before = len(raw[:start].decode(name, errors="ignore"))
        except UnicodeDecodeError:
            continue
        begin = max(0, before - 20)
        found.setdefault(text[begin : begin + 40], (_oddities(text), name))
    likely = sorted(found.items(), key=lambda item: item[1][0])[:3]
    return [(name, text) for text, (_, name) in likely]


def _oddities(text: str) -> int:
    """How unusual the characters beyond ASCII are beside their neighbours."""
    count = 0
    padded = f" {text} "
    for before, character, after in zip(padded, padded[1:], padded[2:], strict=False):
        if character.isascii():
            count += before.islower() and character.isupper()
        elif not character.isalpha():
            count += 0 if character in _TYPOGRAPHY else 2
        elif script_of(character) in _CJK:
            count += 2 * any(each.isascii() and each.isalpha() for each in before + after)
        else:
            letters = [each for each in (before, after) if each.isalpha()]
            alone = all(script_of(each) != script_of(character) for each in letters)
            among = bool(letters) and not any(each.isascii() for each in letters)
            count += 1 + 2 * alone + 2 * (among and script_of(character) == "LATIN")
            count += before.islower() and character.isupper()
    return count


def script_of(letter: str) -> str:
    """The script that a letter belongs to, as Unicode names it: `LATIN`, `CYRILLIC` …"""
    return unicodedata.name(letter, "?").partition(" ")[0]
