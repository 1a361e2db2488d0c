"""What an endpoint accepts, checked, with a sentence for each error.

Written by hand because the image has no validation library. Read by json, not orjson: record ids
may be integers beyond 64 bits, and one record with a lone surrogate must not spoil its group.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Never

from container.errors import InvalidRequestError
from container.serving.entries import EntryLines
from container.serving.responses import record_error_json

DEFAULT_TOP_K = 3
MAX_REQUEST_ID = 128
# The fields of each mode.
MODES = {
    "embedding": ("text_inputs", "encoding_format", "count_tokens", "mode", "request_id"),
    "nn_corpus": ("corpus", "queries", "top_k", "mode", "request_id"),
    "nn_train_data": ("queries", "top_k", "return_text", "mode", "request_id"),
    "queries": ("queries", "mode", "request_id"),
    "search": ("queries", "top_k", "category", "lexical", "mode", "request_id"),
    "info": ("mode",),
}
RECORD_FIELDS = ("id", "text_inputs", "mode")
ENCODING_FORMATS = ("float", "base64")
JSON_LINES_TYPES = (
    "application/jsonlines",
    "application/jsonl",
    "application/x-jsonlines",
    "application/x-ndjson",
)
TEXT_TYPES = ("application/x-text", "text/plain")
# SageMaker ends InvokeEndpoint after so many seconds.
MOST_SECONDS = 60.0
# A body counts as large from here on, unless the content type says so earlier.
LARGE_BYTES = 100_000

Body = str | bytes | bytearray


@dataclass(frozen=True, slots=True)
class Request:
    """What one request asks for, in the field names of its mode.

    embedding: the vectors of `text_inputs`, in `encoding_format`, and the number of their tokens if
    `count_tokens`. nn_corpus: the nearest texts of `corpus` for each of `queries`. nn_train_data:
    ids of the nearest entries of the baked corpus, their texts if `return_text`. queries: what an
    index elsewhere is asked with. search: the best entries as they are stored, only of `category`
    if given, and by vectors alone unless `lexical`. info: the manifest.
    """

    mode: str = "embedding"
    text_inputs: list[str] = field(default_factory=list)
    corpus: list[str] = field(default_factory=list)
    queries: list[str] = field(default_factory=list)
    top_k: int = DEFAULT_TOP_K
    return_text: bool = False
    category: list[str] | None = None
    lexical: bool = True
    encoding_format: str = "float"
    count_tokens: bool = False
    request_id: str | None = None

    @property
    def texts(self) -> int:
        """The number of texts to encode."""
        return len(self.text_inputs) + len(self.corpus) + len(self.queries)


@dataclass(frozen=True, slots=True)
class Record:
    """`{"id": ..., "text_inputs": "..."}`, one line of a batch: asks for a vector with its id."""

    id: str | int | float
    text: str


# What to answer, or the answer's line that says what is wrong with it.
Line = Record | EntryLines | bytes


def media_type(content_type: str | None) -> str:
    """The type alone, in lower case; JSON by default. Raises unless the charset is UTF-8."""
    kind, parameters = _parsed(content_type)
    charset = parameters.get("charset", "utf-8")
    if charset not in {"utf-8", "utf8", "us-ascii"}:
        raise InvalidRequestError(f"the charset {charset!r} is not accepted; send UTF-8")
    return kind


def seconds_left(content_type: str | None, clock: Callable[[], float] = time.time) -> float:
    """How long the caller waits for the answer; negative once it has gone.

    The content type may say until when, in Unix time, by the parameter `deadline`: of what a
    caller can send, it alone reaches this code under every version of the toolkit, and versions of
    this code that do not know it ignore it. It counts the time in the server's queue as well. A
    deadline more than a minute from now comes from another clock and does not count.

    Without one, a caller waits as long as SageMaker lets it; that of a batch waits longer.
    """
    kind, parameters = _parsed(content_type)
    default = math.inf if kind in JSON_LINES_TYPES else MOST_SECONDS
    given = parameters.get("deadline")
    if given is None:
        return default
    try:
        left = float(given) - clock()
    except ValueError as error:
        raise InvalidRequestError(
            f"the content type's deadline is {given[:60]!r}; send seconds in Unix time"
        ) from error
    return left if abs(left) <= MOST_SECONDS else default


def is_large(body: Body, content_type: str | None) -> bool:
    """Whether a request would hold its worker for long: the caller says so, or it has a big body.

    Batches do not count: nobody else asks a transform job's instance.
    """
    kind, parameters = _parsed(content_type)
    if kind in JSON_LINES_TYPES:
        return False
    return parameters.get("large") == "true" or len(body) > LARGE_BYTES


def _parsed(content_type: str | None) -> tuple[str, dict[str, str]]:
    """The type and its parameters, in lower case."""
    kind, *parameters = (content_type or "application/json").lower().split(";")
    pairs = (parameter.partition("=") for parameter in parameters)
    return kind.strip(), {name.strip(): value.strip().strip('"') for name, _, value in pairs}


def decode(body: Body) -> str:
    """The body as text, without a byte-order mark."""
    if isinstance(body, str):
        return body.removeprefix("\ufeff")
    try:
        return bytes(body).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequestError(
            f"the body is not UTF-8: {error.reason} at byte {error.start}"
        ) from error


def parse_body(body: Body, content_type: str | None) -> Request | Record:
    """Reads a body that holds one request. Raises InvalidRequestError."""
    kind = media_type(content_type)
    text = decode(body)
    if kind in TEXT_TYPES:
        # The published example sends JSON under application/x-text.
        if text.lstrip()[:1] in {"[", "{"}:
            return parse_request(parse_json(text))
        return Request(text_inputs=[_text(text, "the body")])
    if kind != "application/json":
        raise InvalidRequestError(
            f"the content type {kind!r} is not accepted; send application/json, "
            "application/jsonlines or application/x-text"
        )
    return parse_request(parse_json(text))


def parse_json(text: str) -> object:
    """Strict JSON, without NaN and the infinities."""
    if not text.strip():
        raise InvalidRequestError("the body is empty; send a JSON object or a list of texts")
    try:
        parsed: object = json.loads(text, parse_constant=_refuse_constant)
        return parsed
    except json.JSONDecodeError as error:
        raise InvalidRequestError(
            f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from error
    except RecursionError as error:
        raise InvalidRequestError("the body's JSON is nested too deeply") from error
    except ValueError as error:
        raise InvalidRequestError(f"the body is not JSON we can read: {error}") from error


def parse_request(payload: object) -> Request | Record:
    """The request in parsed JSON. Raises InvalidRequestError."""
    if isinstance(payload, list):
        return Request(text_inputs=_texts(payload, "list"))
    if not isinstance(payload, dict):
        raise InvalidRequestError(
            f"the body is {_kind(payload)}; send a JSON object or a list of texts"
        )
    mode = payload.get("mode", "embedding")
    if not isinstance(mode, str) or mode not in MODES:
        raise InvalidRequestError(f"mode is {_shown(mode)}; allowed are {', '.join(MODES)}")
    if mode == "embedding" and "id" in payload:
        return parse_record(payload)
    _check_fields(payload, MODES[mode], mode)
    lists = {
        name: _texts(payload.get(name), name)
        for name in ("text_inputs", "corpus", "queries")
        if name in MODES[mode]
    }
    return Request(
        mode,
        **lists,
        top_k=_top_k(payload),
        return_text=_flag(payload, "return_text", default=False),
        category=_category(payload),
        lexical=_flag(payload, "lexical", default=True),
        encoding_format=_encoding_format(payload),
        count_tokens=_flag(payload, "count_tokens", default=False),
        request_id=_request_id(payload),
    )


def parse_record(payload: object) -> Record:
    """The record in one parsed line of a batch. Raises InvalidRequestError."""
    if not isinstance(payload, dict):
        raise InvalidRequestError(
            f'the line is {_kind(payload)}; a line is {{"id": ..., "text_inputs": "..."}}'
        )
    mode = payload.get("mode", "embedding")
    if mode != "embedding":
        raise InvalidRequestError(f"mode is {_shown(mode)}; a record's mode is embedding")
    _check_fields(payload, RECORD_FIELDS, mode)
    given = record_id(payload)
    if given is None:
        raise InvalidRequestError(f"id is {_kind(payload.get('id'))}; send a string or a number")
    return Record(given, _text(payload.get("text_inputs"), "text_inputs"))


def record_id(payload: object) -> str | int | float | None:
    """The id of a record in which something else may be wrong; None without a usable id."""
    given = payload.get("id") if isinstance(payload, dict) else None
    if isinstance(given, bool) or not isinstance(given, str | int | float):
        return None
    # json reads 1e999 as infinity, which no answer in JSON can hold.
    return None if given in (math.inf, -math.inf) else given


def parse_lines(text: str) -> list[Line]:
    """The records of a body of JSON lines, in order.

    A line is `{"id": ..., "text_inputs": "..."}` or, so that a transform job can send many
    records in one request, `{"records": [...]}` with such objects in it; or `{"lines": [...],
    "first_line": ...}`, with lines of a corpus for an index elsewhere. A wrong record or line
    affects no other. Raises InvalidRequestError for an empty body.
    """
    # Not splitlines(), which also splits at characters that JSON allows inside strings.
    records = [record for line in text.split("\n") if line.strip() for record in _parse_line(line)]
    if not records:
        raise InvalidRequestError("the body is empty; send one JSON object a line")
    return records


def _parse_line(line: str) -> list[Line]:
    try:
        payload = parse_json(line)
        if isinstance(payload, dict) and "records" in payload:
            return [_checked_record(member) for member in _members(payload)]
        if isinstance(payload, dict) and "lines" in payload:
            return [_entry_lines(payload)]
    except InvalidRequestError as error:
        return [record_error_json(None, error.sentence)]
    return [_checked_record(payload)]


def _members(payload: dict[str, object]) -> list[object]:
    """The records of a group, yet to be checked."""
    members = payload["records"]
    if len(payload) > 1:
        raise InvalidRequestError("a group of records has the field records and no other")
    if not isinstance(members, list) or not members:
        raise InvalidRequestError("records is not a list of records with at least one in it")
    return members


def _entry_lines(payload: Mapping[str, object]) -> EntryLines:
    lines, first = payload["lines"], payload.get("first_line")
    if payload.keys() != {"lines", "first_line"}:
        raise InvalidRequestError("lines of a corpus have the fields lines and first_line")
    if isinstance(first, bool) or not isinstance(first, int):
        raise InvalidRequestError(f"first_line is {_kind(first)}; send a whole number")
    return EntryLines(first, _texts(lines, "lines"))


def _checked_record(payload: object) -> Line:
    try:
        return parse_record(payload)
    except InvalidRequestError as error:
        return record_error_json(record_id(payload), error.sentence)


def _check_fields(payload: Mapping[str, object], allowed: Sequence[str], mode: str) -> None:
    unknown = next((name for name in payload if name not in allowed), None)
    if unknown is not None:
        raise InvalidRequestError(
            f"mode {mode} has no field {_shown(unknown)}; allowed are {', '.join(allowed)}"
        )


def _texts(value: object, name: str) -> list[str]:
    if value is None:
        raise InvalidRequestError(f"{name} is missing; send a list of texts")
    if not isinstance(value, list):
        raise InvalidRequestError(f"{name} is {_kind(value)}; send a list of texts")
    if not value:
        raise InvalidRequestError(f"{name} is empty; send at least one text")
    return [_text(text, f"{name}[{number}]") for number, text in enumerate(value)]


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise InvalidRequestError(f"{name} is {_kind(value)}; send a string")
    if not value.isascii():
        try:
            value.encode("utf-8")
        except UnicodeEncodeError as error:
            raise InvalidRequestError(
                f"{name} holds half a surrogate pair at character {error.start}"
            ) from error
    return value


def _top_k(payload: Mapping[str, object]) -> int:
    value = payload.get("top_k", DEFAULT_TOP_K)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidRequestError(f"top_k is {_kind(value)}; send a whole number of at least 1")
    if value < 1:
        raise InvalidRequestError(f"top_k is {value}; send a whole number of at least 1")
    return value


def _category(payload: Mapping[str, object]) -> list[str] | None:
    value = payload.get("category")
    return (
        None if value is None else _texts([value] if isinstance(value, str) else value, "category")
    )


def _encoding_format(payload: Mapping[str, object]) -> str:
    value = payload.get("encoding_format", "float")
    if not isinstance(value, str) or value not in ENCODING_FORMATS:
        allowed = ", ".join(ENCODING_FORMATS)
        raise InvalidRequestError(f"encoding_format is {_shown(value)}; allowed are {allowed}")
    return value


def _flag(payload: Mapping[str, object], name: str, *, default: bool) -> bool:
    value = payload.get(name, default)
    if not isinstance(value, bool):
        raise InvalidRequestError(f"{name} is {_kind(value)}; send true or false")
    return value


def _request_id(payload: Mapping[str, object]) -> str | None:
    """The caller's name for the request; used only in the log."""
    if "request_id" not in payload:
        return None
    value = payload["request_id"]
    if not isinstance(value, str):
        raise InvalidRequestError(f"request_id is {_kind(value)}; send a string")
    if not (0 < len(value) <= MAX_REQUEST_ID and value.isprintable()):
        raise InvalidRequestError(
            f"request_id is not usable; send 1 to {MAX_REQUEST_ID} printable characters"
        )
    return value


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if value in (math.inf, -math.inf):
        return "a number that is too large"
    kinds = {str: "a string", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return kinds[type(value)]


def _shown(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:60] + "..."


def _refuse_constant(name: str) -> Never:
    raise InvalidRequestError(f"the body holds {name}, which is not JSON")
