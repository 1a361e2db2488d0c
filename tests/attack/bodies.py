"""Hostile bodies at the container's code: damaged requests of every mode, as an endpoint gets them.

What comes back must be JSON, or a refusal that tells the caller what is wrong.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from container.errors import InvalidRequestError
from container.serving.service import Service
from tests.attack.campaign import Part
from tests.attack.lab import BAKE, artifact
from tests.attack.verdicts import leaks, strict_json, token

# For the largest body, on a busy machine.
_SECONDS = 20.0
_LONGEST_REFUSAL = 2_000
_SECRET = "corpus/sample"  # a path of ours

Answer = Callable[[Any, str | None], bytes]


def attack(part: Part, folder: Path, count: int = 6000) -> None:
    """Opens an artifact in this process and sends it damaged bodies."""
    service = Service.open(artifact(folder), BAKE)
    for case in part.numbers(count):
        body, content_type = make_body(part.random(case), case)
        outcome, found = judge(service.answer, body, content_type, case)
        part.statuses[outcome] += 1
        for what in found:
            part.find(case, what, body=repr(body[:300]), content_type=content_type)


def judge(
    answer: Answer, body: bytes | str, content_type: str | None, case: int
) -> tuple[str, list[str]]:
    """What became of a body, "answered", "refused" or "failed", and what is wrong with that."""
    began = time.monotonic()
    try:
        content = answer(body, content_type)
        outcome, found = "answered", _not_json_lines(content)
    except InvalidRequestError as error:
        content = str(error).encode("utf-8", "backslashreplace")
        outcome, found = "refused", []
        if len(content) > _LONGEST_REFUSAL:
            found.append(f"a refusal of {len(content):,} bytes")
    except Exception as error:
        return "failed", [f"{type(error).__name__}: {error}"[:300]]
    found += leaks(content, [_SECRET], case)
    if time.monotonic() - began > _SECONDS:
        found.append(f"it took {time.monotonic() - began:.0f} s")
    return outcome, found


def _not_json_lines(content: bytes) -> list[str]:
    for line in content.split(b"\n"):
        if line:
            try:
                strict_json(line)
            except ValueError as error:
                return [f"not JSON: {error}: {line[:100]!r}"]
    return []


def make_body(random: Random, case: int) -> tuple[bytes | str, str | None]:
    """A body and its content type."""
    word = token(case)
    value = _request(random, word)
    for _ in range(random.randint(0, 3)):
        value = _damaged(random, value)
    lines = isinstance(value, list) and random.random() < 0.5
    many = value if lines else [value]
    text = "\n".join(_written(random, each) for each in many)
    body: bytes | str = text.encode("utf-8", "surrogatepass")
    match random.randrange(12):
        case 0:
            at = random.randrange(len(body) + 1)
            body = body[:at] + random.randbytes(random.randint(1, 8)) + body[at:]  # type: ignore[operator]
        case 1:
            body = body[: random.randrange(len(body) + 1)]
        case 2:
            body = text.encode(random.choice(("utf-16", "utf-32", "utf-8-sig")), "surrogatepass")
        case 3:
            body = text  # as the model server gives what has the type application/json
    kind = "application/jsonlines" if lines else "application/json"
    if random.random() < 0.15:
        kind = random.choice(_TYPES)
    return body, kind


def _request(random: Random, word: str) -> Any:
    texts = [f"{word} hello {number}" for number in range(random.choice((1, 2, 5)))]
    return random.choice(
        (
            texts,
            {"text_inputs": texts, "mode": "embedding", "count_tokens": True},
            {"text_inputs": texts, "encoding_format": "base64"},
            {"corpus": texts, "queries": texts[:1], "top_k": 2, "mode": "nn_corpus"},
            {"queries": texts, "top_k": 3, "return_text": True, "mode": "nn_train_data"},
            {"queries": texts, "category": "odd", "mode": "search", "request_id": word},
            {"mode": "info"},
            {"id": case_id(random), "text_inputs": word},
            [{"id": case_id(random), "text_inputs": text} for text in texts],
        )
    )


def case_id(random: Random) -> Any:
    """A record's id."""
    return random.choice(("a", 1, 2**70, 1.5, -1, "é", "x" * 200))


_VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        2**31,
        2**63,
        10**400,
        1.5,
        -0.0,
        1e308,
        "",
        " ",
        "\0",
        "\ud800",
    ),
    *("\u202e", "é" * 1000, "a" * 200_000, [], {}, [[]], [None], [{}], {"": {}}, [""], ["\udfff"]),
    *("nn_corpus", "search", "info", "__class__", "../../etc/passwd", "{{7*7}}", "%s%n", "$(id)"),
    *(["a"] * 3000, list(range(1000)), {str(number): number for number in range(1000)}),
)
_RAW = (
    "NaN",
    "Infinity",
    "-Infinity",
    "1e999",
    "-1e999",
    "9" * 5000,
    "0x10",
    "01",
    "'a'",
    '"\\ud800"',
)
_TYPES = (
    *(
        None,
        "",
        "text/plain",
        "application/x-text",
        "application/json; charset=latin-1",
        "text/csv",
    ),
    *("application/json;charset=utf-8", "application/jsonlines", "image/png", "APPLICATION/JSON"),
    *("application/json; charset=\udcff", ";", "application/x-ndjson", "multipart/form-data"),
)
_HERE = "\x02raw\x03"


def _damaged(random: Random, value: Any) -> Any:
    """The value with something wrong somewhere in it."""
    if isinstance(value, dict) and value and random.random() < 0.8:
        name = random.choice(list(value))
        match random.randrange(4):
            case 0:
                return {key: each for key, each in value.items() if key != name}
            case 1:
                return {
                    **value,
                    random.choice(("mode", "id", "top_k", "queries", "é\0")): _any(random),
                }
            case _:
                return {**value, name: _damaged(random, value[name])}
    if isinstance(value, list) and value and random.random() < 0.7:
        at = random.randrange(len(value))
        return [*value[:at], _damaged(random, value[at]), *value[at + 1 :]]
    return _any(random)


def _any(random: Random) -> Any:
    if random.random() < 0.2:
        return _HERE
    if random.random() < 0.05:
        deep: Any = []
        for _ in range(random.choice((50, 500))):
            deep = [deep]
        return deep
    return random.choice(_VALUES)


def _written(random: Random, value: Any) -> str:
    """JSON, or what only looks like it."""
    text = json.dumps(value, ensure_ascii=random.random() < 0.5)
    for raw in (json.dumps(_HERE), json.dumps(_HERE, ensure_ascii=False)):
        text = text.replace(raw, random.choice(_RAW))
    if random.random() < 0.02:
        depth = random.choice((1_000, 100_000))
        text = "[" * depth + text + "]" * depth
    return text
