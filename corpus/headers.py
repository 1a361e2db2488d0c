"""What the columns of a table, and the keys of an object, are: found by their names."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from typing import Final

from corpus import header_names

MAX_NAME = 40
"""Characters of a cell beyond which it is no column's name."""

_NUMBERED = re.compile(r"(.*?\D)([1-9]\d?)$")
_SENTENCE_END = tuple(".!?;。？！؟।…")
_QUOTES = "\"'”’“»)] \t\r\n"


class MapError(Exception):
    """A `--map` that names a column which is not there; the message says what there is."""


@dataclass(frozen=True, slots=True)
class Roles:
    """What the columns of a table, or the keys of an object, are.

    Attributes:
        id, answer: positions, None where there is none.
        questions: positions, the main question first.
        fields: position of each other column with a name, and what the field is called.
        strong: the roles that a name or a mapping gives for certain; `text` may be no answer.
        is_certain: whether the names show that the answer is one, by its own or by those beside it.
        is_text: whether the answer is called `text`.
        rivals: names that could as well be the question or answer, or are misspelt, and are kept
            as fields.
    """

    id: int | None = None
    questions: tuple[int, ...] = ()
    answer: int | None = None
    fields: Mapping[int, str] = field(default_factory=dict)
    strong: frozenset[str] = frozenset()
    is_certain: bool = False
    is_text: bool = False
    rivals: tuple[str, ...] = ()


Columns = Mapping[str, Sequence[str]]
"""`question`, `answer`, `id` or a field, and the names of its columns; several of a question."""


def squeezed(name: str) -> str:
    """A name as names are compared: letters and digits only, without case."""
    # The same names stand in every record; longer texts do not come again.
    return _squeezed_name(name) if len(name) <= MAX_NAME else _squeezed(name)


def _squeezed(text: str) -> str:
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKC", text).casefold())


_squeezed_name = lru_cache(maxsize=1024)(_squeezed)


def _names(table: str) -> tuple[str, ...]:
    return tuple(squeezed(name) for name in re.split(r"[;\n]", table) if name.strip())


_NAMES: Final = {
    "question": _names(header_names.QUESTION),
    "answer": _names(header_names.ANSWER),
    "id": _names(header_names.ID),
    "url": _names(header_names.URL),
    "category": _names(header_names.CATEGORY),
}
_WEAK: Final = {
    "question": _names(header_names.WEAK_QUESTION),
    "answer": _names(header_names.WEAK_ANSWER),
}
_VARIANTS: Final = frozenset(_names(header_names.VARIANTS))
_FILLER: Final = frozenset(_names(header_names.FILLER))
# Where two roles have a name in common, the first role keeps it.
_ROLE_OF: Final = {name: role for role in reversed(_NAMES) for name in _NAMES[role]}
_KNOWN: Final = frozenset([*_ROLE_OF, *_VARIANTS, *_WEAK["question"], *_WEAK["answer"]])


def roles(names: Sequence[str], columns: Columns | None = None) -> Roles:
    """What each of some names stands for.

    Args:
        names: as in the file.
        columns: what the user says of them; the rest is found by name.

    Raises:
        MapError: a column of `columns` is not among the names.
    """
    if not columns:
        return _roles(tuple(names), ())
    return _roles(tuple(names), tuple((role, tuple(wanted)) for role, wanted in columns.items()))


@lru_cache(maxsize=1024)
def _roles(names: tuple[str, ...], columns: tuple[tuple[str, tuple[str, ...]], ...]) -> Roles:
    compared = [squeezed(name) for name in names]
    taken: dict[int, str] = {}
    for role, wanted in columns:
        for name in wanted:
            taken[_find(name, names, compared)] = role
    mapped = {role for role, _ in columns}
    strong, rivals = set(mapped), []
    for role in (each for each in _NAMES if each not in mapped):
        free = [n for n in range(len(names)) if n not in taken]
        found = _strong(role, names, free, compared)
        if found:
            strong.add(role)
        found = found or _weak(role, free, compared)
        if found:
            taken[found[0]] = role
            if role in _WEAK:
                rivals += [names[n] for n in found[1:] if not _varies(compared[n])]
    questions = [n for n, role in taken.items() if role == "question"]
    if "question" not in mapped:
        numbered = bool(questions)
        questions += [
            n for n in range(len(names)) if n not in taken and _varies(compared[n], numbered)
        ]
    if not columns:
        others = set(range(len(names))) - taken.keys() - set(questions)
        rivals += [names[n] for n in sorted(others) if _is_misspelt(compared[n])]
    answer = next((n for n, role in taken.items() if role == "answer"), None)
    called = "" if answer is None else compared[answer]
    all_known = len(called) > 1 and _KNOWN.issuperset(name for name in compared if name)
    return Roles(
        id=next((n for n, role in taken.items() if role == "id"), None),
        questions=tuple(questions),
        answer=answer,
        fields=_fields(names, compared, taken, questions),
        strong=frozenset(strong),
        is_certain=answer is not None and ("answer" in strong or bool(questions) or all_known),
        is_text=called == "text",
        rivals=tuple(rivals),
    )


def _find(wanted: str, names: Sequence[str], compared: Sequence[str]) -> int:
    if wanted in names:
        return names.index(wanted)
    if squeezed(wanted) and squeezed(wanted) in compared:
        return compared.index(squeezed(wanted))
    listed = ", ".join(repr(name.strip()) for name in names if name.strip())
    raise MapError(f"no column {wanted!r}, which --map names; there are {listed or 'none'}")


def _strong(role: str, names: Sequence[str], free: list[int], compared: list[str]) -> list[int]:
    """Columns with one of the role's names, else with one such as `Question (EN)`."""
    found = [n for n in free if _ROLE_OF.get(compared[n]) == role]
    if found or role not in _WEAK:
        return found
    return [n for n in free if _is_compound(role, names[n])]


def _weak(role: str, free: list[int], compared: list[str]) -> list[int]:
    found = [n for n in free if compared[n] in _WEAK.get(role, ())]
    return sorted(found, key=lambda n: _WEAK[role].index(compared[n]))[:1]


def _is_compound(role: str, name: str) -> bool:
    """Whether a name is a known word with words that say nothing, or numbered 1."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    words = [squeezed(word) for word in re.findall(r"[^\W_]+", spaced)]
    rest = [word for word in words if _ROLE_OF.get(word) != role]
    numbered = _NUMBERED.fullmatch(squeezed(name))
    return (len(rest) < len(words) and _FILLER.issuperset(rest)) or (
        numbered is not None and numbered[2] == "1" and _ROLE_OF.get(numbered[1]) == role
    )


def _varies(name: str, numbered: bool = True) -> bool:
    """Whether a column holds further questions: `variants`, `question 2`."""
    match = _NUMBERED.fullmatch(name) if numbered else None
    return name in _VARIANTS or (
        match is not None
        and (_ROLE_OF.get(match[1]) == "question" or match[1] in {"q", *_VARIANTS})
    )


def _is_misspelt(name: str) -> bool:
    known = ("question", "questions", "answer", "answers")
    return name not in _KNOWN and bool(get_close_matches(name, known, 1, 0.8))


def _fields(
    names: Sequence[str], compared: list[str], taken: Mapping[int, str], questions: list[int]
) -> dict[int, str]:
    fields: dict[int, str] = {}
    for n, name in enumerate(names):
        role = taken.get(n)
        if compared[n] and n not in questions and role not in {"answer", "id"}:
            called = role or name.strip()
            while called in fields.values():
                called += " 2"
            fields[n] = called
    return fields


def is_known(name: str) -> bool:
    """Whether a name is one of those that say what a column is."""
    return squeezed(name) in _KNOWN


def role_of(name: str) -> str | None:
    """`question` or `answer`, if a name by itself says that it is one: `Frage`, `Q`."""
    called = squeezed(name)
    if called in {"q", "a"}:
        return "question" if called == "q" else "answer"
    role = _ROLE_OF.get(called)
    return role if role in _WEAK else None


def looks_like_name(cell: str) -> bool:
    """Whether a cell could be a column's name and not a text."""
    text = cell.strip()
    return is_known(text) or (
        len(text) <= MAX_NAME and "\n" not in text and not ends_sentence(text)
    )


def ends_sentence(text: str) -> bool:
    """Whether a text ends as a sentence or a question does."""
    return text.rstrip(_QUOTES).endswith(_SENTENCE_END)
