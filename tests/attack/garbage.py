"""Garbage from endpoints: the front door must answer in its time, with an error it documents.

Every kind comes from both endpoints, and from the first alone, when the second one has to answer.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from typing import Any

from tests.attack.campaign import Part
from tests.attack.verdicts import server_error
from tests.support.front_door import FrontDoor, Reply, event, front_door

# Of a request: so that no machine is too busy, and so that slow endpoints need not take long.
_LONG_BUDGET, _SHORT_BUDGET = 24, 4
# Beyond the budget, on a busy machine.
_LATE_SECONDS = 3.0
_WORD = "garbage-of-the-endpoint"
_MEANT = (502, 503, 504)

_VECTOR = [0.5] * 384
_HIT = {"id": "1", "question": "q", "answer": "a", "passage": None, "fields": {}, "score": 0.5}
_ROUTES: dict[str, tuple[str, str, Any, Any]] = {
    "embed": ("POST", "/embed", {"texts": ["x"]}, {"embedding": [_VECTOR]}),
    "nearest": (
        *("POST", "/nearest", {"corpus": ["a"], "queries": ["b"]}),
        [[{"corpus_id": 0, "score": 0.5}]],
    ),
    "search": (
        *("POST", "/search", {"queries": ["b"], "margin": 0.1}),
        {"bake_id": "bake-1", "results": [[_HIT]]},
    ),
    "embeddings": (
        *("POST", "/embeddings", {"input": ["x"], "model": "MODEL"}),
        {"embedding": [_VECTOR], "tokens": 3},
    ),
    "health": ("GET", "/health", None, {"bake_id": "bake-1"}),
}


def replies() -> dict[str, Reply]:
    """Each kind at once, without a wait."""
    deep = b"[" * 200_000
    bodies: dict[str, bytes] = {
        "nothing": b"",
        "a word": _WORD.encode(),
        "HTML": b"<!doctype html><h1>%s</h1>" % _WORD.encode(),
        "null": b"null",
        "a number": b"1e999",
        "a string": b'"x"',
        "an empty object": b"{}",
        "an empty list": b"[]",
        "deep lists": deep,
        "deep closed lists": deep + b"]" * len(deep),
        "deep objects": b'{"embedding":' * 200_000,
        "deep in place": b'{"embedding":[' + deep + b"]" * len(deep) + b"]}",
        "invalid UTF-8": b'{"embedding": [["\xff\xfe"]], "results": "\xc3\x28", "bake_id": "\xff"}',
        "UTF-16": json.dumps({"embedding": [_VECTOR]}).encode("utf-16"),
        "cut off": json.dumps({"embedding": [_VECTOR], "results": [[_HIT]]}).encode()[:-9],
        "two at once": b'{"embedding": [[1]]}{"embedding": [[1]]}',
        "NaN": b'{"embedding": [[NaN]], "bake_id": "1", "results": [[{"id": "1", "score": NaN}]]}',
        "infinity": b'[[{"corpus_id": 0, "score": Infinity}]]',
        "a huge score": b'[[{"corpus_id": 0, "score": 1e999}]]',
        "a huge id": b'[[{"corpus_id": %s, "score": 0.1}]]' % (b"9" * 5000),
        "texts for numbers": b'{"embedding": [["%s"]], "tokens": "many"}' % _WORD.encode(),
        "objects for lists": b'{"embedding": {"0": [1]}, "results": {"0": []}, "bake_id": {}}',
        "null inside": b'{"embedding": [null], "results": [null], "bake_id": null, "tokens": null}',
        "an error as an answer": b'{"code": 500, "message": "%s"}' % _WORD.encode(),
        "too large": b'{"embedding": [[%s]]}' % b",".join([b"0.12345"] * 1_000_000),
        "code": b"__import__('os').system('id')",
    }
    found = {name: Reply(body) for name, body in bodies.items()}
    original = {"OriginalStatusCode": 400, "LogStreamArn": _WORD}
    for name, message in {
        "a word": _WORD,
        "deep JSON": "[" * 100_000,
        "JSON of another shape": '{"message": ["x"]}',
        "half a refusal": "invalid_request: ",
        "a huge text": "x" * 1_000_000,
    }.items():
        body = {**original, "Message": message, "OriginalMessage": message}
        found[f"a model error with {name}"] = Reply.error(424, "ModelError", **body)
    for status in (201, 204, 301, 302, 304, 307, 400, 403, 404, 413, 429, 500, 502, 503, 504, 599):
        found[f"status {status}"] = Reply(f'{{"message": "{_WORD}"}}'.encode(), status)
        found[f"status {status} with a page"] = Reply(b"<html>%s" % _WORD.encode(), status)
    found["status 500 with deep JSON"] = Reply(b'{"Message":' * 100_000, 500)
    found["hanging up"] = Reply(hang_up=True)
    return found


def slow_replies() -> dict[str, Reply]:
    """Kinds that take all the time there is."""
    # At ten bytes a second, longer than the budget; those who drip must have ended, too.
    good = json.dumps({"embedding": [_VECTOR[:20]]}).encode()
    return {
        "silence": Reply(good, silent_seconds=8),
        "a dripping body": Reply(good, drip="body"),
        "a dripping head": Reply(good, drip="headers"),
        "a dripping error": Reply(b'{"message": "x"}' * 7, 500, drip="body"),
        "an endless drip of blanks": Reply(b" " * 200, drip="body"),
    }


def attack(part: Part, *, slow: bool = True) -> None:
    """Asks every route while endpoints answer each kind."""
    both = (False, True)
    quick, dripping = replies(), slow_replies()
    forms = [(route, kind, first) for kind in quick for route in _ROUTES for first in both]
    if slow:
        some = ("search", "health")
        forms += [(route, kind, first) for kind in dripping for route in some for first in both]
    kinds = quick | dripping
    with _doors() as doors:
        for case in part.numbers(len(forms)):
            route, kind, first = forms[case]
            budget = _SHORT_BUDGET if kind in dripping else _LONG_BUDGET
            door = doors(budget)
            seconds, status, answer = _ask(door.reset(), route, kinds[kind], first=first)
            part.answered(status, str(answer.get("error", answer).get("code", "")))
            for what in judge(route, seconds, status, answer, first=first, budget=budget):
                name = "the first endpoint" if first else "both endpoints"
                part.find(case, f"{route}, {kind} from {name}: {what}", answer=str(answer)[:500])


@contextmanager
def _doors() -> Iterator[Callable[[int], FrontDoor]]:
    """The front door with a budget in seconds; another budget loads it anew."""
    with ExitStack() as stack:
        loaded: dict[int, FrontDoor] = {}

        def door(budget: int) -> FrontDoor:
            if budget not in loaded:
                stack.close()
                loaded.clear()
                loaded[budget] = stack.enter_context(front_door(TIME_BUDGET_SECONDS=str(budget)))
            return loaded[budget]

        yield door


def _ask(
    door: FrontDoor, route: str, garbage: Reply, *, first: bool
) -> tuple[float, int, dict[str, Any]]:
    method, path, body, good = _ROUTES[route]
    if route == "embeddings":
        body = {**body, "model": json.loads(str(door.aws.ssm.deployed))["model_id"]}
    door.aws.reply("faq-c6i", garbage)
    door.aws.reply("faq-g5", Reply(json.dumps(good).encode()) if first else garbage)
    began = time.monotonic()
    try:
        with redirect_stdout(io.StringIO()):  # metrics
            status, answer = door.call(event(path, body, method))
    except Exception as error:
        status, answer = 500, {"code": f"raised {type(error).__name__}"}
    return time.monotonic() - began, status, answer


def judge(
    route: str,
    seconds: float,
    status: int,
    answer: dict[str, Any],
    *,
    first: bool,
    budget: float = _LONG_BUDGET,
) -> list[str]:
    """What is wrong with an answer that garbage has led to."""
    found = server_error(status, json.dumps(answer).encode(), _MEANT)
    if seconds > budget + _LATE_SECONDS:
        found.append(f"after {seconds:.1f} s, with {budget} s to do it in")
    if _WORD in json.dumps(answer):
        found.append("the endpoint's own words")
    if status == 200:
        found += _misshapen(route, answer)
    elif first and not (400 <= status < 500):
        found.append(f"{status}, although the second endpoint answers")
    return found


def _misshapen(route: str, answer: dict[str, Any]) -> list[str]:
    """A success that is not what was asked for: one text, one query."""
    if route == "health":
        return (
            [] if any(each["status"] == "ok" for each in answer["endpoints"]) else ["not healthy"]
        )
    many = {"embed": "embeddings", "embeddings": "data"}.get(route, "results")
    if len(answer[many]) != 1:
        return [f"{len(answer[many])} {many} for one text"]
    if route == "embed" and not _numbers(answer[many][0]):
        return ["an embedding that is no list of numbers"]
    if route == "embeddings" and not _numbers(answer[many][0]["embedding"]):
        return ["an embedding that is no list of numbers"]
    return []


def _numbers(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, int | float) for each in value)
