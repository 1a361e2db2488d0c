"""Callers of mixed requests who wait no longer than their budget, and back off when refused."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from statistics import quantiles
from typing import Any
from urllib.parse import urlsplit

from bench.texts import (
    NEAREST_CORPUS,
    NEAREST_QUERIES,
    NINE_SENTENCES,
    SHORT_QUESTION,
    mixed_texts,
)

ANSWERED, BUSY, GONE, LATE, NO_ANSWER = "200", "429 (busy)", "caller gone", "504 (late)", "none"
# As long as an endpoint's caller waits; and an impatient one.
BUDGET_SECONDS, IMPATIENT_SECONDS = 10.0, 0.2
_IMPATIENT_SHARE = 0.02
# A refused caller asks again as botocore does in its standard mode: so often, after pauses of up to
# 1 s and 2 s. Then it gives up and, after up to 4 s, begins with another request.
_ATTEMPTS = 3
_LARGE_TEXTS = 1_200


def bodies() -> tuple[list[dict[str, Any]], list[float]]:
    """The kinds of requests and their shares: small ones, and one in a hundred that is large."""
    texts = mixed_texts(_LARGE_TEXTS, most_sentences=2)
    return [
        {"queries": [SHORT_QUESTION], "top_k": 3, "mode": "nn_train_data"},
        {"text_inputs": NINE_SENTENCES, "mode": "embedding"},
        {"corpus": NEAREST_CORPUS, "queries": NEAREST_QUERIES, "top_k": 3, "mode": "nn_corpus"},
        {"text_inputs": texts[:32], "mode": "embedding"},
        {"corpus": texts, "queries": [SHORT_QUESTION], "top_k": 3, "mode": "nn_corpus"},
    ], [0.62, 0.15, 0.12, 0.1, 0.01]


@dataclass
class Results:
    """Outcomes by status, and the seconds of the answers of 200."""

    statuses: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)


def mixed(url: str, clients: int, seconds: float, seed: int) -> dict[str, Callable[[], Any]]:
    """One task, `ask`, which lets so many clients ask for so long."""
    payloads, shares = bodies()
    encoded = [json.dumps(payload)[:-1] for payload in payloads]

    def caller(number: int) -> Callable[[random.Random], tuple[str, float]]:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        connections: dict[float, HTTPConnection] = {}

        def ask(chance: random.Random) -> tuple[str, float]:
            (body,) = chance.choices(encoded, shares)
            impatient = chance.random() < _IMPATIENT_SHARE
            budget = IMPATIENT_SECONDS if impatient else BUDGET_SECONDS
            connection = connections.setdefault(budget, HTTPConnection(host, port, timeout=budget))
            began, now = time.perf_counter(), time.time()
            # The server's log then tells how old the request was when it was answered.
            named = f'{body}, "request_id": "{now:.3f} {budget} {number}"}}'
            kind = f"application/json; deadline={now + budget:.3f}"
            try:
                connection.request("POST", parts.path, named.encode(), {"Content-Type": kind})
                response = connection.getresponse()
                status = outcome(response.status, response.read())
            except TimeoutError:
                connection.close()
                status = GONE
            except (OSError, HTTPException):
                connection.close()
                status = NO_ANSWER
            return status, time.perf_counter() - began

        return ask

    return {"ask": lambda: run(caller, clients, seconds, seed)}


def outcome(status: int, body: bytes) -> str:
    """An answer's status, as the front door would pass it on."""
    if status == 400:  # which the model server makes of all that the container raises
        if b"busy: " in body:
            return BUSY
        if b"time_out: " in body:
            return LATE
    return str(status)


def run(
    caller: Callable[[int], Callable[[random.Random], tuple[str, float]]],
    clients: int,
    seconds: float,
    seed: int,
) -> dict[str, Any]:
    """Answers a second, outcomes by status, and latencies in seconds (None without an answer)."""
    stop = threading.Event()

    def work(number: int) -> Results:
        found, refusals = Results(), 0
        chance = random.Random(seed * 1_000 + number)  # noqa: S311 - the same requests each time
        ask = caller(number)
        while not stop.is_set():
            status, took = ask(chance)
            if stop.is_set() and status == ANSWERED:
                break
            found.statuses[status] += 1
            if status == ANSWERED:
                found.seconds.append(took)
                refusals = 0
            elif status != GONE:
                stop.wait(chance.random() * 2.0 ** (refusals % _ATTEMPTS))
                refusals += 1
        return found

    with ThreadPoolExecutor(clients) as pool:
        began = time.perf_counter()
        callers = [pool.submit(work, number) for number in range(clients)]
        time.sleep(seconds)
        stop.set()
        elapsed = time.perf_counter() - began
    results = [done.result() for done in callers]
    answered = sorted(took for one in results for took in one.seconds)
    cuts = quantiles(answered, n=20, method="inclusive") if len(answered) > 1 else None
    return {
        "per_second": len(answered) / elapsed,
        "statuses": dict(sum((one.statuses for one in results), Counter())),
        "p50": cuts[9] if cuts else None,
        "p95": cuts[18] if cuts else None,
        "longest": answered[-1] if answered else None,
    }
