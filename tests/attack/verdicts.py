"""What is wrong with an answer: the detectors that the parts share."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from typing import Any, NoReturn

# A 5xx that the documentation promises, by its status; 500 is never meant.
DOCUMENTED = {
    502: ("model_error",),
    503: ("model_unavailable", "serving_off", "service_unavailable"),
    504: ("time_out",),
}
_HTML = re.compile(rb"<\s*(!doctype|html|body|head|script|h1)\b", re.IGNORECASE)
_TOKEN = re.compile(r"zq\d+qz")


def token(case: int) -> str:
    """A word by which the text of a case is known wherever it turns up."""
    return f"zq{case}qz"


def strict_json(content: bytes) -> Any:
    """What RFC 8259 allows: no NaN, no infinities. Raises ValueError."""

    def refuse(name: str) -> NoReturn:
        raise ValueError(f"{name} is not JSON")

    try:
        return json.loads(content.decode("utf-8"), parse_constant=refuse)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def code_of(content: bytes) -> str:
    """The code of an error in our form or in OpenAI's; "" if there is none."""
    try:
        answer = strict_json(content)
        return str(answer.get("error", answer).get("code", ""))
    except (ValueError, AttributeError):
        return ""


def server_error(status: int, content: bytes, meant: Collection[int] = (503, 504)) -> list[str]:
    """A 5xx that nobody documented, or that a caller may not be able to cause."""
    if status < 500 or (status in meant and code_of(content) in DOCUMENTED.get(status, ())):
        return []
    return [f"{status} {code_of(content) or content[:80]!r}"]


def not_json(content: bytes, media_type: str) -> list[str]:
    """An answer that is not JSON though every answer must be; HTML and tracebacks by name."""
    found = []
    if _HTML.search(content[:2000]) or "html" in media_type:
        found.append("HTML")
    if b"Traceback (most recent" in content:
        found.append("a traceback")
    try:
        strict_json(content)
    except ValueError as error:
        found.append(f"not JSON: {error}")
    return found


def leaks(content: bytes, secrets: Iterable[str], case: int | None = None) -> list[str]:
    """Secrets in an answer, and the text of other cases than the one it belongs to."""
    text = content.decode("utf-8", "replace")
    found = [f"a secret: {secret[:4]}…" for secret in secrets if secret and secret in text]
    others = set(_TOKEN.findall(text)) - {token(case) if case is not None else ""}
    return found + [f"another caller's text: {other}" for other in sorted(others)]


def no_sentence(status: int, content: bytes) -> list[str]:
    """A refusal that does not say what is wrong."""
    if status < 400:
        return []
    try:
        answer = strict_json(content)
        error = answer.get("error", answer)
        if error["code"] and len(error["message"]) > 10:
            return []
    except (ValueError, LookupError, AttributeError, TypeError):
        pass
    return ["an error without a code and a sentence"]


def open_door(status: int) -> list[str]:
    """A request without a valid key that was let in."""
    return [] if status in (401, 403) else [f"{status} without a valid key"]
