"""The input as lines: a file that can be read at all, its lines, and the record in each."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

from batch.steps import BatchError

MAX_LINE_BYTES = 1_048_576
"""Longest line that may hold a record, including its end."""
MAX_TEXT_BYTES = 100_000
"""Longest text, in UTF-8 bytes."""
MAX_ID_CHARACTERS = 256
"""Longest id, in characters or digits."""

_PIECE_BYTES = MAX_LINE_BYTES + 1
_FORMATS = {
    b"\x1f\x8b": "compressed with gzip; unpack it",
    b"PK\x03\x04": "a zip archive; unpack it",
    b"BZh": "compressed with bzip2; unpack it",
    b"\xfd7zXZ": "compressed with xz; unpack it",
    b"\x28\xb5\x2f\xfd": "compressed with zstd; unpack it",
    b"PAR1": "a Parquet file; convert it to JSON lines",
    codecs.BOM_UTF16_LE: "UTF-16 or UTF-32; save it as UTF-8",
    codecs.BOM_UTF16_BE: "UTF-16; save it as UTF-8",
    codecs.BOM_UTF32_BE: "UTF-32; save it as UTF-8",
}
_SHAPE = 'a line is {"id": ..., "text_inputs": "..."}'
# Some readers end lines at these too, and JSON need not escape them.
_SEPARATORS = [(character, f"\\u{ord(character):04x}") for character in "\x85\u2028\u2029"]


def check_beginning(beginning: bytes) -> None:
    """Raises BatchError for a file that cannot be JSON lines in UTF-8.

    Args:
        beginning: the file's first bytes, at least four unless it is shorter.
    """
    if not beginning:
        raise BatchError("The file is empty.")
    for mark, found in _FORMATS.items():
        if beginning.startswith(mark):
            raise BatchError(f"The file is {found}. JSON lines in UTF-8 are allowed.")
    # UTF-16 without a byte-order mark: every other byte of plain English is zero.
    zeros = [byte == 0 for byte in beginning[:4]]
    if zeros in ([False, True, False, True], [True, False, True, False]):
        raise BatchError("The file is UTF-16; save it as UTF-8. JSON lines in UTF-8 are allowed.")


def read_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    r"""Each line with its line feed, which the last may lack.

    A line longer than MAX_LINE_BYTES comes in pieces. The first is one byte longer than that,
    which is how it is recognized, and only the last ends with a line feed (or with the file). The
    pieces do not depend on how the stream was cut into chunks.

    Lines end at LF only: CRLF stays, and what else Unicode calls a line separator is text.
    """
    rest = b""
    for chunk in chunks:
        lines = (rest + chunk).split(b"\n")
        rest = lines.pop()
        for line in lines:
            if len(line) < _PIECE_BYTES:
                yield line + b"\n"
            else:
                yield from _pieces(line + b"\n")
        if len(rest) > _PIECE_BYTES:
            *pieces, rest = _pieces(rest)
            yield from pieces
    if rest:
        yield rest


def _pieces(line: bytes) -> list[bytes]:
    return [line[start : start + _PIECE_BYTES] for start in range(0, len(line), _PIECE_BYTES)]


class RejectedLineError(Exception):
    """The line is not a record; the message is the reason."""


def _refuse_constant(name: str) -> NoReturn:
    raise RejectedLineError(f"it contains {name}, which is not JSON")


# Made once: json.loads and json.dumps would make new ones for each line.
_decode = json.JSONDecoder(parse_constant=_refuse_constant).decode
_encode = json.JSONEncoder(ensure_ascii=False).encode


def read_record(line: bytes) -> bytes | None:
    """The record of a line, as compact JSON with nothing but id and text_inputs.

    A byte-order mark at the beginning of any line is skipped: concatenated files have them in the
    middle.

    Returns:
        None for a blank line.

    Raises:
        RejectedLineError: the line is not a record.
    """
    line = line.removeprefix(codecs.BOM_UTF8)
    if not line or line.isspace():
        return None
    fields = _object(line)
    _check_id(fields)
    _check_text(fields)
    record = f'{{"id":{_encode(fields["id"])},"text_inputs":{_encode(fields["text_inputs"])}}}'
    if not record.isascii():
        for separator, escape in _SEPARATORS:
            record = record.replace(separator, escape)
    try:
        return record.encode()
    except UnicodeEncodeError:
        raise RejectedLineError(
            "it contains half a surrogate pair (\\ud800 to \\udfff); give both halves or neither"
        ) from None


def read_entry(line: bytes) -> bytes | None:
    """The line of a corpus as it is; the container reads what is in it.

    Returns:
        None for a blank line.

    Raises:
        RejectedLineError: the line is not a JSON object.
    """
    line = line.removeprefix(codecs.BOM_UTF8)
    if not line or line.isspace():
        return None
    _object(line, shape="a line of a corpus is a JSON object")
    return line


def _object(line: bytes, shape: str = _SHAPE) -> dict[str, Any]:
    try:
        parsed = _decode(line.decode())
    except UnicodeDecodeError as error:
        raise RejectedLineError(
            f"not UTF-8: byte 0x{line[error.start]:02x} at position {error.start + 1}"
        ) from None
    except json.JSONDecodeError as error:
        raise RejectedLineError(
            f"not JSON: {error.msg} at character {error.pos + 1}; {shape}"
        ) from None
    except RecursionError:
        raise RejectedLineError(f"JSON nested too deeply; {shape}") from None
    except ValueError:
        # The one other reason: Python refuses to convert a number of thousands of digits.
        raise RejectedLineError(f"a number of too many digits; {shape}") from None
    if not isinstance(parsed, dict):
        raise RejectedLineError(f"{_kind(parsed)}; {shape}")
    return parsed


def _check_id(fields: dict[str, Any]) -> None:
    if "id" not in fields:
        raise RejectedLineError(f"id is missing; {_SHAPE}")
    given = fields["id"]
    if isinstance(given, bool) or not isinstance(given, str | int):
        raise RejectedLineError(f"id is {_kind(given)}; a string or a whole number is allowed")
    text = str(given)
    if len(text) > MAX_ID_CHARACTERS:
        raise RejectedLineError(
            f"id has {len(text):,} characters; at most {MAX_ID_CHARACTERS} are allowed"
        )
    if not text or text.isspace():
        raise RejectedLineError("id is empty; a string or a whole number is allowed")
    if "\0" in text:
        raise RejectedLineError("id contains a NUL character")


def _check_text(fields: dict[str, Any]) -> None:
    if "text_inputs" not in fields:
        raise RejectedLineError(f"text_inputs is missing; {_SHAPE}")
    text = fields["text_inputs"]
    if not isinstance(text, str):
        raise RejectedLineError(f"text_inputs is {_kind(text)}; a string is allowed")
    if not text or text.isspace():
        raise RejectedLineError("text_inputs is empty")
    if "\0" in text:
        raise RejectedLineError("text_inputs contains a NUL character")
    # A character takes at most four bytes, so most texts need not be encoded.
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
