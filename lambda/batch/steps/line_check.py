"""One line of a batch's input: a record, a blank, or what is wrong with it."""

from __future__ import annotations

import codecs
import json
from typing import Any, NoReturn

MAX_TEXT_BYTES = 100_000
"""Longest text, in UTF-8 bytes."""
MAX_ID_CHARACTERS = 256
"""Longest id, in characters or digits."""

_SHAPE = 'a line is {"id": ..., "text_inputs": "..."}'
_BOM = codecs.BOM_UTF8
# Some readers of lines end them here too; JSON lets these stand as they are.
_SEPARATORS = [(character, f"\\u{ord(character):04x}") for character in "\x85\u2028\u2029"]


class RejectedLineError(Exception):
    """The line is no record; the message is the reason."""


def _refuse_constant(name: str) -> NoReturn:
    raise RejectedLineError(f"it holds {name}, which JSON does not have")


# Made once: json.loads and json.dumps make theirs anew for each line.
_decode = json.JSONDecoder(parse_constant=_refuse_constant).decode
_encode = json.JSONEncoder(ensure_ascii=False).encode


def read_record(line: bytes) -> bytes | None:
    """The record of a line, as compact JSON with nothing but id and text_inputs.

    A byte-order mark at the beginning of any line is passed over: files that were put one behind
    another have them in the middle.

    Returns:
        None for a blank line.

    Raises:
        RejectedLineError: the line is no record.
    """
    line = line.removeprefix(_BOM)
    if not line or line.isspace():
        return None
    fields = _object(line)
    given = fields.get("id")
    text = fields.get("text_inputs")
    _check_id(given, is_there="id" in fields)
    _check_text(text, is_there="text_inputs" in fields)
    record = f'{{"id":{_encode(given)},"text_inputs":{_encode(text)}}}'
    if not record.isascii():
        for separator, escape in _SEPARATORS:
            record = record.replace(separator, escape)
    try:
        return record.encode()
    except UnicodeEncodeError:
        raise RejectedLineError(
            "it holds half of a surrogate pair (\\ud800 to \\udfff); give both halves or neither"
        ) from None


def _object(line: bytes) -> dict[str, Any]:
    try:
        parsed = _decode(line.decode())
    except UnicodeDecodeError as error:
        raise RejectedLineError(
            f"not UTF-8: byte 0x{line[error.start]:02x} at position {error.start + 1}"
        ) from None
    except json.JSONDecodeError as error:
        raise RejectedLineError(
            f"not JSON: {error.msg} at character {error.pos + 1}; {_SHAPE}"
        ) from None
    except RecursionError:
        raise RejectedLineError(f"JSON nested too deeply; {_SHAPE}") from None
    except ValueError:
        # The one other reason: Python refuses to convert a number of thousands of digits.
        raise RejectedLineError(f"a number of too many digits; {_SHAPE}") from None
    if not isinstance(parsed, dict):
        raise RejectedLineError(f"{_kind(parsed)}; {_SHAPE}")
    return parsed


def _check_id(given: Any, *, is_there: bool) -> None:
    if not is_there:
        raise RejectedLineError(f"id is missing; {_SHAPE}")
    if isinstance(given, bool) or not isinstance(given, str | int):
        raise RejectedLineError(f"id is {_kind(given)}; a string or a whole number is allowed")
    shown = given if isinstance(given, str) else str(given)
    if len(shown) > MAX_ID_CHARACTERS:
        raise RejectedLineError(
            f"id has {len(shown):,} characters; at most {MAX_ID_CHARACTERS} are allowed"
        )
    if not shown or shown.isspace():
        raise RejectedLineError("id is empty; a string or a whole number is allowed")
    if "\0" in shown:
        raise RejectedLineError("id holds a NUL character")


def _check_text(text: Any, *, is_there: bool) -> None:
    if not is_there:
        raise RejectedLineError(f"text_inputs is missing; {_SHAPE}")
    if not isinstance(text, str):
        raise RejectedLineError(f"text_inputs is {_kind(text)}; a string is allowed")
    if not text or text.isspace():
        raise RejectedLineError("text_inputs is empty")
    if "\0" in text:
        raise RejectedLineError("text_inputs holds a NUL character")
    # A character takes four bytes at most, so most texts need no second look.
    if len(text) > MAX_TEXT_BYTES // 4:
        size = len(text.encode(errors="replace"))
        if size > MAX_TEXT_BYTES:
            raise RejectedLineError(
                f"text_inputs has {size:,} bytes; at most {MAX_TEXT_BYTES:,} are allowed"
            )


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return "a number with a fraction or an exponent"
    kinds = {str: "a string", int: "a number", list: "an array", dict: "an object"}
    return kinds[type(value)]
