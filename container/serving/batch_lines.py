"""The lines of a batch: each holds a record or a group of records."""

from __future__ import annotations

from container.errors import InvalidRequestError
from container.serving.requests import Record, parse_json, parse_record, record_id
from container.serving.responses import record_error_json

# A record, or the answer's line that says what is wrong with it.
Line = Record | bytes


def parse_lines(text: str) -> list[Line]:
    """The records of a body of JSON lines, in order.

    A line is `{"id": ..., "text_inputs": "..."}` or, so that a transform job can send many
    records in one request, `{"records": [...]}` with such objects in it. A wrong record or line
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
            return [_parse_record(member) for member in _members(payload)]
    except InvalidRequestError as error:
        return [record_error_json(None, error.sentence)]
    return [_parse_record(payload)]


def _members(payload: dict[str, object]) -> list[object]:
    """The records of a group, yet to be checked."""
    members = payload["records"]
    if len(payload) > 1:
        raise InvalidRequestError("a group of records has the field records and no other")
    if not isinstance(members, list) or not members:
        raise InvalidRequestError("records is not a list of records with at least one in it")
    return members


def _parse_record(payload: object) -> Line:
    try:
        return parse_record(payload)
    except InvalidRequestError as error:
        return record_error_json(record_id(payload), error.sentence)
