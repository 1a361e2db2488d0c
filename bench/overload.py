"""`make overload`: small searches while a deployment works off the largest requests it takes.

Callers of large requests ask again as soon as they have their answer, so that as many are always
in flight. A small search is lost if its answer is anything but 200.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from itertools import cycle, islice
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from bench.contenders.load import summary
from bench.texts import SHORT_QUESTION, mixed_texts
from commands.console import console
from commands.deployed_api import find_api
from commands.errors import guard
from commands.local_state import STATE
from commands.target import add_target_arguments, choose
from faq_search.settings import Api
from faq_search.signing import api_key_signer, iam_signer

ANSWERED: Final = 200
NO_ANSWER: Final = 0
_TEXTS: Final = 9_900
# What `Retry-After` says to a large request too many.
_RETRY_SECONDS: Final = 5
_JSON: Final = {"Content-Type": "application/json", "Accept": "application/json"}
# A process is idle if it computes for less than this share of a processor.
_IDLE_SHARE: Final = 0.05

Ask = Callable[[], int]


@dataclass
class Caller:
    """Asks until it is stopped; `seconds` of answers of 200, and how often each status came.

    pause: seconds after an answer; `refused_pause` after any other status than 200.
    """

    ask: Ask
    pause: float = 0.0
    refused_pause: float = 0.0
    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    def run(self, stop: threading.Event) -> None:
        """Returns with the answer that it waits for when `stop` is set."""
        while not stop.is_set():
            began = time.perf_counter()
            status = self.ask()
            self.statuses[status] += 1
            if status == ANSWERED:
                self.seconds.append(time.perf_counter() - began)
            stop.wait(self.pause if status == ANSWERED else self.refused_pause)


@dataclass(frozen=True)
class Found:
    """Statuses of large and small requests; of small ones the latencies; how long it took."""

    large: Mapping[int, int]
    small: Mapping[int, int]
    small_seconds: Sequence[float]
    elapsed: float
    idle_after: float | None

    def __str__(self) -> str:
        lost = sum(count for status, count in self.small.items() if status != ANSWERED)
        found = summary(list(self.small_seconds), lost, self.elapsed)
        p50, p95 = (
            "-" if each is None else f"{each:.2f} s" for each in (found["p50"], found["p95"])
        )
        idle = "unknown" if self.idle_after is None else f"{self.idle_after:.1f} s"
        return (
            f"large requests, by status: {dict(sorted(self.large.items()))}\n"
            f"small searches: {sum(self.small.values())}, p50 {p50}, p95 {p95}, lost {lost}"
            f" {dict(sorted(self.small.items()))}\n"
            f"the encoders were idle after the last caller had gone: {idle}"
        )


def nearest_body(size: int) -> bytes:
    """A body of `POST /nearest` with 9,900 texts, or as many of 30 characters as fit, in `size`."""
    texts = min(_TEXTS, size // 40)
    length = (size - 100) // texts - 4
    words = " ".join(mixed_texts(3_000))
    while len(words) < texts * length:
        words += words
    corpus = [words[n * length : (n + 1) * length].strip() or "x" for n in range(texts)]
    body = json.dumps({"corpus": corpus, "queries": [SHORT_QUESTION], "top_k": 3}).encode()
    excess = len(body) - size
    if excess > 0:  # quotes within the texts
        corpus = [text[: -1 - -(-excess // texts)] for text in corpus]
        body = json.dumps({"corpus": corpus, "queries": [SHORT_QUESTION], "top_k": 3}).encode()
    return body


def overload(
    large: Sequence[Caller],
    small: Sequence[Caller],
    seconds: float,
    computed: Callable[[], float] | None = None,
) -> Found:
    """Lets all callers ask for `seconds`; then measures how long the encoders compute on.

    computed: seconds of processor time that the encoders have used; None where nobody can tell.
    """
    stop_large, stop_small = threading.Event(), threading.Event()
    began = time.perf_counter()
    with ThreadPoolExecutor(len(large) + len(small)) as pool:
        busy = [pool.submit(caller.run, stop_large) for caller in large]
        asking = [pool.submit(caller.run, stop_small) for caller in small]
        time.sleep(seconds)
        stop_large.set()
        for caller in busy:
            caller.result()
        stop_small.set()
        for caller in asking:
            caller.result()
    elapsed = time.perf_counter() - began
    return Found(
        sum((caller.statuses for caller in large), Counter()),
        sum((caller.statuses for caller in small), Counter()),
        [each for caller in small for each in caller.seconds],
        elapsed,
        None if computed is None else seconds_until_idle(computed),
    )


def seconds_until_idle(computed: Callable[[], float], most: float = 120.0) -> float | None:
    """How long from now until the encoders hardly compute for a second; None after `most`."""
    began, used = time.monotonic(), computed()
    last_busy = began
    while (now := time.monotonic()) - began < most:
        time.sleep(0.25)
        if (more := computed()) - used > _IDLE_SHARE * 0.25:
            last_busy = time.monotonic()
        elif now - last_busy >= 1:
            return last_busy - began
        used = more
    return None


def processor_seconds(folder: Path) -> float:
    """What the encoder processes of artifacts below `folder` have computed so far."""
    ticks = 0
    below = os.fsencode(folder.resolve())
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            if b"container.encoder.process" in command and below in command:
                _, _, rest = (process / "stat").read_text().rpartition(")")
                ticks += sum(map(int, rest.split()[11:13]))
        except OSError:
            continue
    return ticks / os.sysconf("SC_CLK_TCK")


def caller_of(api: Api, path: str, body: bytes) -> Ask:
    """Posts one body on a connection of its own; returns the status."""
    signer = api_key_signer(api.api_key) if api.api_key else iam_signer(api.url, api.region)
    url = api.url.rstrip("/") + path
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=60)

    def ask() -> int:
        try:
            connection.request("POST", parts.path, body, _JSON | signer("POST", url, body))
            response = connection.getresponse()
            response.read()
        except (OSError, HTTPException):
            connection.close()
            return NO_ANSWER
        return response.status

    return ask


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints; returns the exit status."""
    parser = argparse.ArgumentParser(prog="bench.overload", description="Searches under overload.")
    add_target_arguments(parser)
    parser.add_argument("--large", type=int, default=12, help="callers of large requests")
    parser.add_argument("--bytes", type=int, default=5 * 1024 * 1024, help="a large body's size")
    parser.add_argument("--small", type=int, default=4, help="callers of small searches")
    parser.add_argument("--seconds", type=float, default=60, help="how long they ask")
    return guard(lambda: _measure(parser.parse_args(arguments)))


def _measure(options: argparse.Namespace) -> int:
    target, choice = choose(options)
    api = find_api(target, choice)
    body = nearest_body(options.bytes)
    questions = islice(cycle(mixed_texts(64, most_sentences=1)), options.small)
    small = [
        Caller(caller_of(api, "/search", json.dumps({"queries": [text], "top_k": 3}).encode()), 0.1)
        for text in questions
    ]
    large = [
        Caller(caller_of(api, "/nearest", body), refused_pause=_RETRY_SECONDS)
        for _ in range(options.large)
    ]
    callers = len(large) + len(small)
    console.print(
        f"{len(large)} callers of {len(body):,} bytes, {len(small)} callers of small searches"
    )
    # Functions of all callers start before: on AWS they do not share a processor.
    with ThreadPoolExecutor(callers) as pool:
        for caller in [pool.submit(one.ask) for one in [*small, *small, *small, *small]][:callers]:
            caller.result()
    found = overload(
        large,
        small,
        options.seconds,
        (lambda: processor_seconds(STATE)) if target.local is not None else None,
    )
    console.print(str(found), markup=False, highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
