"""Rows of an Excel workbook as records; needs the package openpyxl."""

from __future__ import annotations

import datetime
import warnings
import zipfile
from collections.abc import Iterator
from itertools import islice
from typing import Any, BinaryIO

from corpus.entry import Record, is_blank
from corpus.errors import Problems
from corpus.headers import Columns
from corpus.tables import Row, names_answer, table_records


def workbook_records(
    stream: BinaryIO, problems: Problems, columns: Columns | None
) -> Iterator[Record]:
    """The records of the visible sheets whose headers name an answer; of the first without one."""
    try:
        import openpyxl  # noqa: PLC0415 - only for this kind of file
    except ImportError:
        raise problems.stop(
            None, "reading an Excel workbook needs the package openpyxl: pip install openpyxl"
        ) from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of extensions that it does not read
            book = openpyxl.load_workbook(stream, read_only=True, data_only=True)
    except (zipfile.BadZipFile, KeyError, ValueError, OSError):
        raise problems.stop(
            None,
            "not an Excel workbook: save it as .xlsx and without a password, or if it is a text"
            " with separators, name it .csv",
        ) from None
    sheets = [sheet for sheet in book.worksheets if any(cells for _, cells in _rows(sheet, ""))]
    visible = [sheet for sheet in sheets if sheet.sheet_state == "visible"]
    read = [s for s in visible if names_answer(list(islice(_rows(s, ""), 20)), columns)]
    read = read or visible[:1]
    for sheet in sheets:
        if sheet not in read:
            problems.warn("sheets", None, f"the sheet {sheet.title!r} is not read")
    for sheet in read:
        prefix = f"{sheet.title}!" if len(read) > 1 else ""
        yield from table_records(_rows(sheet, prefix), problems, columns, padded=True)


def _rows(sheet: Any, prefix: str) -> Iterator[Row]:
    """Rows by their numbers, without empty cells at the end."""
    sheet.reset_dimensions()  # some programs write a wrong one
    for number, cells in enumerate(sheet.iter_rows(values_only=True), 1):
        texts = [_text(cell) for cell in cells]
        while texts and is_blank(texts[-1]):
            texts.pop()
        yield f"{prefix}{number}" if prefix else number, texts


def _text(value: Any) -> str:
    """A cell as a spreadsheet would show it without a format."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return value.date().isoformat()
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    text = str(value)
    if "_x" in text:
        from openpyxl.utils.escape import unescape  # noqa: PLC0415

        text = unescape(text)
    return text
