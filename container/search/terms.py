"""The words by which texts are compared, in any script."""

from __future__ import annotations

import hashlib
import re
import sys
import unicodedata

# Words longer than this also count by their first letters, so that "deploying" meets "deployed".
START_LETTERS = 5


def _marks() -> str:
    """Vowel signs and accents, which Python's `\\w` leaves out, as ranges of a character class."""
    ranges: list[list[int]] = []
    for code in range(0x300, sys.maxunicode + 1):
        # Beyond, only scripts of no living language, and variation selectors.
        if code > 0x1_1FFF:
            break
        if unicodedata.category(chr(code))[0] != "M":
            continue
        if ranges and ranges[-1][1] == code - 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)


_WORD = re.compile(rf"[\w{_marks()}]+")
_ASCII_WORD = re.compile(r"\w+", re.ASCII)
# Scripts without spaces between words: Japanese, Chinese, Thai, Lao, Burmese and Khmer; and Korean,
# whose particles cling to the words.
_UNSPACED = re.compile(
    "[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
    "\uac00-\ud7af\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]+"
)


def terms(text: str) -> list[str]:
    """The terms of a text, as often as they stand in it.

    Compatibility forms and case are folded. A run of letters of a script without spaces becomes
    overlapping pairs. Another word is a term and, if it is long, so is its start, marked by `<`.
    """
    found: list[str] = []
    folded = unicodedata.normalize("NFKC", text).casefold()
    if folded.isascii():
        for word in _ASCII_WORD.findall(folded):
            _add(word, found)
        return found
    for word in _WORD.findall(folded):
        if word.isascii():
            _add(word, found)
            continue
        place = 0
        for run in _UNSPACED.finditer(word):
            _add(word[place : run.start()], found)
            letters = run[0]
            found += [letters[at : at + 2] for at in range(len(letters) - 1)] or [letters]
            place = run.end()
        _add(word[place:], found)
    return found


def key(term: str) -> int:
    """64 bits that stand for a term in the index."""
    # A lone surrogate, which JSON can hold, has no UTF-8.
    digest = hashlib.blake2b(term.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def _add(word: str, found: list[str]) -> None:
    if word:
        found.append(word)
    if len(word) > START_LETTERS:
        found.append("<" + word[:START_LETTERS])
