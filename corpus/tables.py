"""Rows of cells, from a text file or a workbook, as records: finds the header and reads by it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain, islice

from corpus.entry import Record, is_blank
from corpus.errors import Place, Problems, shown_row
from corpus.headers import (
    Columns,
    MapError,
    Roles,
    ends_sentence,
    is_known,
    looks_like_name,
    roles,
)

COMMENT = "#"
"""What the name of a column begins with that is for people, and no field of the entries."""

Row = tuple[Place, list[str]]

_LOOKED_AT = 50
_HEADER_WITHIN = 10
_NAME_WORDS = 3
_URL = re.compile(r"(https?://|www\.)\S+")
_RULE = re.compile(r":?-{2,}:?")
_RULE_BEGINS = frozenset({"", ":", "-"})
_OPENING, _CLOSING = "“„«‘'", "”“»’'"
_QUOTES = frozenset(_OPENING + _CLOSING)
_ADVICE = (
    "name the columns in the first row, such as question,answer,url, or by their numbers:"
    " --map question=1 --map answer=2"
)


def table_records(
    rows: Iterator[Row], problems: Problems, columns: Columns | None = None, *, padded: bool = False
) -> Iterator[Record]:
    """The records of a table.

    Its header is the first row, or one below a title, whose cells are names of columns and among
    them one of the answer. Without a header there are two columns, question and answer, or three
    with a URL. Rows and columns without anything in them are skipped and counted.

    Args:
        columns: which column is what, by its name or, without a header, by its number from 1.
        padded: whether cells at the end of a row may be missing, as in a workbook.
    """
    rows = _without_empty(rows, problems)
    first = list(islice(rows, _LOOKED_AT))
    if not first:
        return
    try:
        found, header = _find_header(first, columns)
    except MapError as error:
        raise problems.stop(first[0][0], str(error)) from None
    if header is None:
        found = found or _roles_without_header(first, problems)
        yield from _records(chain(first, rows), found, None, problems, padded)
        return
    for place, cells in first[:header]:
        problems.warn(
            "rows above the header",
            place,
            f"{_shown(cells)} stands above the header and is skipped",
        )
    place, names = first[header]
    for rival in found.rivals if found else ():
        problems.warn_once(
            "columns in doubt",
            place,
            rival_sentence(rival),
        )
    if found is None or found.answer is None:
        listed = ", ".join(name.strip() for name in names if not is_blank(name))
        raise problems.stop(
            place,
            f"no column of answers; the header names {listed}. If one of them has the answers,"
            " name it: --map answer=…",
        )
    yield from _records(chain(first[header + 1 :], rows), found, names, problems, padded)


def names_answer(rows: Sequence[Row], columns: Columns | None = None) -> bool:
    """Whether one of the first rows is a header with the answer's column."""
    filled = [(place, cells) for place, cells in rows if not all(map(is_blank, cells))]
    try:
        found, header = _find_header(filled, columns)
    except MapError:
        return False
    return header is not None and found is not None and found.answer is not None


def rival_sentence(name: str) -> str:
    """What a warning says of one of `Roles.rivals`."""
    return (
        f"{name!r} is kept as a field and could be meant as the question or the answer;"
        " --map question=… or --map answer=… settles it"
    )


def _find_header(rows: Sequence[Row], columns: Columns | None) -> tuple[Roles | None, int | None]:
    """What the columns are, and which of the rows is the header; None where that is unknown."""
    if columns:
        return _find_mapped(rows, columns)
    filled = [sum(not is_blank(cell) for cell in cells) for _, cells in rows]
    for number, (_, cells) in enumerate(rows[:_HEADER_WITHIN]):
        is_title = filled[number] == 1 and max(filled) > 1
        if not is_title:
            found = _header_roles(cells)
            return found, None if found is None else number
    return None, None


def _find_mapped(rows: Sequence[Row], columns: Columns) -> tuple[Roles, int | None]:
    wrong: MapError | None = None
    for number, (_, cells) in enumerate(rows[:_HEADER_WITHIN]):
        try:
            return roles(cells, columns), number
        except MapError as error:
            wrong = wrong or error
    if all(name.isdecimal() for names in columns.values() for name in names):
        width = max(len(cells) for _, cells in rows)
        found = roles([str(number + 1) for number in range(width)], columns)
        if found.answer is not None:
            return found, None
    raise wrong or MapError("no rows")


def _header_roles(cells: Sequence[str]) -> Roles | None:
    """What the columns are if the row is a header, which may lack the answer; else None."""
    filled = [cell for cell in cells if not is_blank(cell)]
    if not all(looks_like_name(cell) for cell in filled):
        return None
    found = roles(cells)
    known = [is_known(cell) for cell in filled]
    short = all(
        k or len(cell.split()) <= _NAME_WORDS for k, cell in zip(known, filled, strict=True)
    )
    if found.answer is None:
        return found if "question" in found.strong and short else None
    return found if found.is_certain and (short or all(known)) else None


def _roles_without_header(first: Sequence[Row], problems: Problems) -> Roles:
    width = max(len(_trimmed(cells)) for _, cells in first)
    place, cells = first[0]
    _warn_of_unread_header(first, problems)
    third = [cells[2].strip() for _, cells in first if len(cells) > 2 and not is_blank(cells[2])]
    if width == 3 and all(_URL.fullmatch(cell) for cell in third):
        return Roles(None, (0,), 1, {2: "url"})
    widths = Counter(len(_trimmed(cells)) for _, cells in first)
    usual = widths.most_common(1)[0][0]
    if usual > 2:
        raise problems.stop(place, f"{usual} columns and no header: {_shown(cells)}; {_ADVICE}")
    if max(len(cells) for _, cells in first) == 1:
        raise problems.stop(
            place,
            f"one column and no header: {_shown(cells)}; a table has a question and an answer in"
            " each row, separated by a comma, a semicolon, a tab or a vertical bar",
        )
    return Roles(None, (0,), 1)


def _warn_of_unread_header(first: Sequence[Row], problems: Problems) -> None:
    place, cells = first[0]
    filled = [cell for cell in cells if not is_blank(cell)]
    if len(first) < 2 or not all(looks_like_name(cell) for cell in filled):
        return
    sentences = sum(any(ends_sentence(cell) for cell in row) for _, row in first[1:])
    if any(is_known(cell) for cell in filled) or (
        sentences >= len(first[1:]) / 2 and all(len(c.split()) <= _NAME_WORDS for c in filled)
    ):
        problems.warn(
            "first rows that look like a header",
            place,
            f"{_shown(cells)} looks like a header and is read as an entry; if it is one, say what"
            " its columns are: --map question=… --map answer=…",
        )


def _records(
    rows: Iterator[Row], found: Roles, names: Sequence[str] | None, problems: Problems, padded: bool
) -> Iterator[Record]:
    answer = found.answer
    assert answer is not None
    width = len(names) if names is not None else max([answer, *found.questions, *found.fields]) + 1
    columns = {answer, *found.questions, *found.fields, found.id}
    comments = {n for n in found.fields if names and names[n].lstrip().startswith(COMMENT)}
    fields = {n: name for n, name in found.fields.items() if n not in comments}
    others = [n for n in range(width) if n not in columns]
    unnamed: set[int] = set()
    for place, cells in rows:
        if _rule(cells) or _breaks_by_quotes(place, cells, problems):
            continue
        if len(cells) <= answer and not padded:
            problems.add(place, f"{_counted(cells)}: {_shown(cells)}; {_wanted(names)}")
            continue
        if len(cells) > width and not _is_empty(cells[width:]):
            problems.add(
                place,
                f"{_counted(cells)}: {_shown(cells)}; {_wanted(names)}. A text that contains the"
                " separator stands in double quotes",
            )
            continue
        if len(cells) < width:
            cells.extend([""] * (width - len(cells)))
        unnamed.update(n for n in others if not is_blank(cells[n]))
        yield Record(
            place,
            None if found.id is None else cells[found.id],
            [cells[n] for n in found.questions],
            cells[answer],
            {name: cells[n] for n, name in fields.items() if not is_blank(cells[n])},
        )
    if unnamed:
        listed = ", ".join(str(n + 1) for n in sorted(unnamed))
        problems.warn("columns", None, f"column {listed} has no name and is not kept")
    if comments:
        count = f"{len(comments)} {_plural('column', range(len(comments)))}"
        problems.notes.append(f"{count} whose name begins with {COMMENT} skipped")
    empty = [n for n in others if n not in unnamed]
    if names is not None and empty:
        problems.notes.append(f"{len(empty)} empty {_plural('column', empty)} skipped")


def _breaks_by_quotes(place: Place, cells: Sequence[str], problems: Problems) -> bool:
    """Whether typographic quotes in the place of straight ones break the row; warns of others."""
    if all(_QUOTES.isdisjoint((cell[:1], cell[-1:])) for cell in map(str.strip, cells)):
        return False
    stripped = [cell.strip() for cell in cells if not is_blank(cell)]
    opened = [cell[:1] in _OPENING and cell[-1:] not in _CLOSING for cell in stripped]
    closed = [cell[-1:] in _CLOSING and cell[:1] not in _OPENING for cell in stripped]
    if any(open_ and any(closed[n + 1 :]) for n, open_ in enumerate(opened)) and any(
        cell[:1] in _OPENING[:-2] for cell in stripped
    ):
        problems.add(
            place,
            f"typographic quotes around a text that contains the separator: {_shown(cells)};"
            ' a table needs straight ones (")',
        )
        return True
    if len(stripped) > 1 and all(
        len(cell) > 1 and cell[0] in _OPENING and cell[-1] in _CLOSING for cell in stripped
    ):
        problems.warn(
            "rows in typographic or single quotes",
            place,
            f"the quotes around {_shown(cells)} are kept as text; those of a table are straight"
            ' double ones (")',
        )
    return False


def _without_empty(rows: Iterator[Row], problems: Problems) -> Iterator[Row]:
    count = 0
    for place, cells in rows:
        if _is_empty(cells):
            count += 1
        else:
            yield place, cells
    if count:
        problems.notes.append(f"{count:,} empty {_plural('row', range(count))} skipped")


def _rule(cells: Sequence[str]) -> bool:
    """Whether a row is the rule below the header of a Markdown table."""
    if cells[0].lstrip()[:1] not in _RULE_BEGINS and not is_blank(cells[0]):
        return False
    filled = [cell.strip() for cell in cells if not is_blank(cell)]
    return len(filled) > 1 and all(_RULE.fullmatch(cell) for cell in filled)


def _is_empty(cells: Sequence[str]) -> bool:
    return all(map(is_blank, cells))


def _trimmed(cells: Sequence[str]) -> list[str]:
    """The cells without empty ones at the end."""
    end = len(cells)
    while end and is_blank(cells[end - 1]):
        end -= 1
    return list(cells[:end])


def _shown(cells: Sequence[str]) -> str:
    return shown_row([cell for cell in cells if not is_blank(cell)])


def _counted(cells: Sequence[str]) -> str:
    count = len(_trimmed(cells))
    return f"{count} {_plural('column', range(count))}"


def _wanted(names: Sequence[str] | None) -> str:
    if names is None:
        return f"there is no header, so a row has two, question and answer; {_ADVICE}"
    named = [name.strip() for name in _trimmed(names)]
    return f"the header names {len(named)}: {', '.join(named)}"


def _plural(word: str, of: Sequence[object]) -> str:
    return word if len(of) == 1 else f"{word}s"
