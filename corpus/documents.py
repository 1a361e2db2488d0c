"""Documents of nested objects and lists (JSON, YAML) as records, in the shapes that FAQs have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from corpus.entry import Record
from corpus.errors import Place, Problems, StopReading, shown
from corpus.headers import (
    Columns,
    MapError,
    Roles,
    ends_sentence,
    is_known,
    roles,
    squeezed,
)
from corpus.tables import rival_sentence, table_records

_TEXT_KEYS = ("text", "plaintext", "value", "answer", "question", "content", "body", "name", "html")
# What a group of entries is called by: SQuAD's articles, the sections of a page.
_GROUP_KEYS = ("category", "title", "name", "section", "topic", "heading", "label")
_ANNOTATIONS = frozenset({"attributes", "metadata"})
_MAX_DEPTH = 100
_NEEDED = frozenset({"question", "answer", "id"})
_NESTED = (dict, list)


class Mapped(dict[str, Any]):
    """An object that knows the line on which it starts."""

    row: int | None = None


def document_records(
    document: Any, problems: Problems, columns: Columns | None = None, place: Place = None
) -> Iterator[Record]:
    """The records of a document, wherever in it they are.

    A record is an object with an answer, or with a question that is a text; what its keys are
    called is found as for the columns of a table. Lists under any key are followed (`questions`,
    `FaqDocuments`, `qna`, SQuAD's `data`, schema.org's `mainEntity`), and so are groups by
    category. Read too are an object of questions and their answers, lists of cells whose first is
    a header, and columns as pandas writes them.

    Args:
        place: what messages call the document, in a file of several.
    """
    reader = _Reader(problems, columns)
    try:
        if isinstance(document, list) and document and all(isinstance(r, list) for r in document):
            rows = (
                (f"[{number}]", [_cell(cell) for cell in row])
                for number, row in enumerate(document)
            )
            yield from table_records(rows, problems, columns)
            return
        yield from reader.walk(document, place, "", 0)
        if reader.found:
            return
        pairs = list(_pairs(document, ""))
        if pairs:
            for at, question, answer, fields in pairs:
                yield Record(place or at, None, [question], answer, fields)
            return
    except MapError as error:
        raise problems.stop(place or 1, str(error)) from None
    raise _nothing_found(document, problems, place)


def _nothing_found(document: Any, problems: Problems, place: Place) -> StopReading:
    if not document and isinstance(document, dict | list):
        return problems.stop(place or 1, "no entries; a corpus has at least one entry")
    keys = ""
    if isinstance(document, dict):
        keys = f" with the keys {', '.join(map(repr, list(document)[:8]))}"
    return problems.stop(
        place or 1,
        f"no question or answer in the {kind(document)}{keys}; wanted are objects with a question"
        " and an answer, or --map question=… --map answer=…",
    )


class _Reader:
    def __init__(self, problems: Problems, columns: Columns | None) -> None:
        self._problems = problems
        self._columns = columns
        self.found = False

    def walk(
        self, value: Any, place: Place, path: str, depth: int, group: str = ""
    ) -> Iterator[Record]:
        if depth > _MAX_DEPTH:
            raise self._problems.stop(place or path, "nested too deeply for a corpus")
        if isinstance(value, dict):
            yield from self._object(value, place, path, depth, group)
        elif isinstance(value, list):
            for number, item in enumerate(value):
                yield from self.walk(item, place, f"{path}[{number}]", depth + 1, group)
            self._refuse_strays(value, place, path)

    def _object(
        self, value: dict[str, Any], place: Place, path: str, depth: int, group: str
    ) -> Iterator[Record]:
        found = self._roles(value)
        if found is not None:
            at = getattr(value, "row", None) or (_inside(place, path))
            record = self._record(value, found, at, group)
            self.found = True
            if record is not None:
                yield record
            return
        columns = _columns(value, roles(list(value)))
        if columns is not None:
            rows = ((f"{path}[{n}]", list(cells)) for n, cells in enumerate(columns, -1))
            self.found = True
            yield from table_records(rows, self._problems, self._columns)
            return
        turns = list(_turns(value))
        for question, answer in turns:
            self.found = True
            yield Record(_inside(place, path), None, [question], answer, {})
        if turns:
            return
        named = [v for k in _GROUP_KEYS for n, v in value.items() if squeezed(n) == k]
        group = next((v for v in named if isinstance(v, str)), group)
        for key, inner in value.items():
            yield from self.walk(inner, place, f"{path}.{key}".lstrip("."), depth + 1, group)

    def _roles(self, value: dict[str, Any]) -> Roles | None:
        """What the keys are, if the object is a record."""
        if not value:
            return None
        try:
            found = roles(list(value), self._wanted(value))
        except MapError:
            if not any(isinstance(each, dict | list) for each in value.values()):
                raise
            return None
        values = list(value.values())
        nested = any(isinstance(each, _NESTED) for each in values)
        if not nested and found.answer is not None:
            return found if found.is_certain or found.is_text else None
        asked = any(isinstance(values[n], str) for n in found.questions)
        if found.answer is None:
            return found if asked and "question" in found.strong else None
        answer = values[found.answer]
        certain = "answer" in found.strong and isinstance(answer, str)
        others = values[: found.answer] + values[found.answer + 1 :]
        is_record = (
            (certain or not any(map(_holds_records, others)))
            and found.is_certain
            and (asked or not isinstance(answer, dict | list) or _texts(answer) is not None)
            and _columns(value, found) is None
        )
        return found if is_record else None

    def _wanted(self, value: dict[str, Any]) -> Columns | None:
        """The user's columns; a field that this object lacks does not matter."""
        if self._columns is None:
            return None
        keys = {squeezed(key) for key in value}
        return {
            role: names
            for role, names in self._columns.items()
            if role in _NEEDED or all(squeezed(name) in keys for name in names)
        }

    def _record(
        self, value: dict[str, Any], found: Roles, place: Place, group: str
    ) -> Record | None:
        values, names = list(value.values()), list(value)
        for rival in found.rivals:
            self._problems.warn_once("keys in doubt", place, rival_sentence(rival))
        if found.answer is None and not all(map(is_known, found.fields.values())):
            self._problems.add(
                place,
                f"no answer among the keys {', '.join(map(repr, names))}; if one of them has it,"
                " name it: --map answer=…",
            )
            return None
        answers = [] if found.answer is None else self._texts(values[found.answer], "answer", place)
        questions: list[str] | None = []
        for n in found.questions:
            more = self._texts(values[n], f"value of {names[n]!r}", place)
            questions = None if questions is None or more is None else questions + more
        if answers is None or questions is None:
            return None
        if len(answers) > 1:
            answers = list(dict.fromkeys(answers))
        if len(answers) > 1:
            self._problems.warn(
                "entries with several answers",
                place,
                f"{len(answers)} answers are joined by line feeds: {shown(answers[0])},"
                f" {shown(answers[1])}",
            )
        given_id = None if found.id is None else values[found.id]
        if isinstance(given_id, bool | float | dict | list):
            self._problems.add(
                place, f"the id is a JSON {kind(given_id)}; a string or a whole number is allowed"
            )
            return None
        return Record(
            place,
            None if given_id is None else str(given_id),
            questions,
            "\n".join(answers),
            _fields({name: values[n] for n, name in found.fields.items()}, group),
        )

    def _texts(self, value: Any, name: str, place: Place) -> list[str] | None:
        texts = _texts(value)
        if texts is None:
            self._problems.add(
                place,
                f"the {name} is a JSON {kind(value)}; a string, or a list of them, is allowed",
            )
        return texts

    def _refuse_strays(self, value: list[Any], place: Place, path: str) -> None:
        """Reports items of a list of records that are not records."""
        are_records = [isinstance(v, dict) and self._roles(v) is not None for v in value]
        if not any(are_records):
            return
        for number, (item, is_record) in enumerate(zip(value, are_records, strict=True)):
            if not is_record and not (
                isinstance(item, dict)
                and any(isinstance(inner, dict | list) for inner in item.values())
            ):
                keys = (
                    f" with the keys {', '.join(map(repr, item))}" if isinstance(item, dict) else ""
                )
                self._problems.add(
                    _inside(place, f"{path}[{number}]"),
                    f"a JSON {kind(item)}{keys} among the entries; an entry has an answer",
                )


def _holds_records(value: Any) -> bool:
    """Whether a list has an object with an answer among its first."""
    return isinstance(value, list) and any(
        roles(list(item)).is_certain for item in value[:10] if isinstance(item, dict)
    )


def _inside(place: Place, path: str) -> Place:
    """The line of a file of several documents, or else the place within the only one."""
    return place or path or 1


def _texts(value: Any) -> list[str] | None:
    """The texts of a value, none for null; None if it holds anything else."""
    if isinstance(value, str):
        return [value]
    found: list[str] | None = None
    if value is None:
        found = []
    elif isinstance(value, int | float) and not isinstance(value, bool):
        found = [str(value)]
    elif isinstance(value, list) and not any(isinstance(item, list) for item in value):
        parts = [_texts(item) for item in value]
        if None not in parts:
            found = [text for part in parts for text in part or ()]
    elif isinstance(value, dict):
        by_name = {squeezed(key): inner for key, inner in value.items()}
        texts = [by_name[key] for key in _TEXT_KEYS if isinstance(by_name.get(key), str)]
        found = texts[:1] or None
    return found


def _fields(found: Mapping[str, Any], group: str) -> dict[str, Any]:
    """The other values of a record; annotations such as Kendra's Attributes as fields."""
    fields: dict[str, Any] = {}
    for name, value in found.items():
        if value is None or value in ("", [], {}) or name.startswith("@"):  # JSON-LD's own keys
            continue
        if squeezed(name) in _ANNOTATIONS and isinstance(value, list):
            value = {  # noqa: PLW2901 - as an object
                str(item["name"]): item.get("value")
                for item in value
                if isinstance(item, dict) and "name" in item
            } or value
        if (squeezed(name) in _ANNOTATIONS or name == "fields") and isinstance(value, dict):
            inner = roles(list(value)) if name != "fields" else None
            names = inner.fields if inner else {}
            for n, (key, each) in enumerate(value.items()):
                fields.setdefault(names.get(n, key), each)
        else:
            fields[name] = value
    if group:
        fields.setdefault("category", group)
    return fields


def _columns(value: dict[str, Any], found: Roles) -> Iterator[Sequence[str]] | None:
    """Rows of an object of columns, as pandas writes them, its keys first; None if it is none."""
    columns = list(value.values())
    answers = None if found.answer is None else columns[found.answer]
    if isinstance(answers, dict) and roles(list(answers)).answer is None:
        # Without row numbers it takes several rows to tell columns from objects.
        same = all(isinstance(each, dict) and list(each) == list(answers) for each in columns)
        columns = [list(each.values()) for each in columns] if same else []
        least = 1 if "0" in answers else 2
    elif isinstance(answers, list) and found.questions:
        least = 2
    else:
        return None
    sizes = {len(each) if isinstance(each, list) else 0 for each in columns}
    if len(sizes) != 1 or min(sizes) < least:
        return None
    if any(isinstance(cell, dict | list) for each in columns for cell in each):
        return None
    rows = ([_cell(cell) for cell in row] for row in zip(*columns, strict=True))
    return chain([list(value)], rows)


def _cell(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else str(value)


def _turns(value: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Questions and answers of a conversation, as chat models are trained with."""
    for inner in value.values():
        asked = ""
        for turn in inner if isinstance(inner, list) else ():
            if not isinstance(turn, dict):
                break
            role, text = turn.get("role", turn.get("from")), turn.get("content", turn.get("value"))
            if not isinstance(text, str):
                break
            if role in {"user", "human"}:
                asked = text
            elif asked and role in {"assistant", "gpt", "bot"}:
                yield asked, text
                asked = ""


def _pairs(value: Any, group: str) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Entries of an object whose keys are the questions, perhaps in groups."""
    if not isinstance(value, dict):
        return
    texts = {k: v for k, v in value.items() if isinstance(v, str)}
    asked = [key for key in texts if ends_sentence(key) or len(key.split()) > 2]
    if texts and len(asked) >= len(value) / 2:
        for question, answer in texts.items():
            yield question[:40], question, answer, {"category": group} if group else {}
        return
    for key, inner in value.items():
        yield from _pairs(inner, key)


def kind(value: object) -> str:
    """What JSON calls a value."""
    names: tuple[tuple[type | tuple[type, ...], str], ...] = (
        (bool, "boolean"),
        ((int, float), "number"),
        (str, "string"),
        (list, "array"),
        (dict, "object"),
    )
    return next((name for types, name in names if isinstance(value, types)), "null")
