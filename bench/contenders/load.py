"""Callers of a running server: one or many, each with a connection that stays open."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from statistics import quantiles
from typing import Any
from urllib.parse import urlsplit

# Asks once; whether the answer was good.
Ask = Callable[[], bool]
Tasks = dict[str, Callable[[], Any]]
CLIENTS = (1, 4, 16, 64)


def http(url: str, headers: dict[str, str], body: str) -> Tasks:
    """POST of one body by plain http.client."""
    return _tasks(lambda: post(url, body, lambda _: headers))


def rest_api(url: str, path: str, body: str, api_key: str | None, region: str | None) -> Tasks:
    """POST of one body to a path of a REST API, signed if there is no key."""
    from faq_search.signing import api_key_signer, iam_signer

    signer = api_key_signer(api_key) if api_key else iam_signer(url, region)
    whole = url.rstrip("/") + path
    usual = {"Content-Type": "application/json", "Accept": "application/json"}
    return _tasks(lambda: post(whole, body, lambda data: usual | signer("POST", whole, data)))


def post(url: str, body: str, headers: Callable[[bytes], dict[str, str]]) -> Ask:
    parts = urlsplit(url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=60)
    data = body.encode()

    def ask() -> bool:
        try:
            connection.request("POST", parts.path, data, headers(data))
            response = connection.getresponse()
            response.read()
        except (OSError, HTTPException):
            connection.close()  # the next request opens another
            return False
        return response.status == 200

    return ask


def endpoint(name: str, region: str, body: str) -> Tasks:
    """InvokeEndpoint with one body, by botocore's client."""
    from botocore.config import Config
    from botocore.exceptions import ClientError
    from botocore.session import Session

    config = Config(max_pool_connections=max(CLIENTS), retries={"total_max_attempts": 1})
    client: Any = Session().create_client("sagemaker-runtime", region_name=region, config=config)

    def ask() -> bool:
        try:
            client.invoke_endpoint(
                EndpointName=name, ContentType="application/json", Body=body.encode()
            )["Body"].read()
        except ClientError:
            return False
        return True

    return _tasks(lambda: ask)


def _tasks(caller: Callable[[], Ask]) -> Tasks:
    """`one` asks once. `<n> clients for <s> seconds`, in the bench's sizes: see `load`."""
    only = caller()

    def one() -> None:
        if not only():
            raise RuntimeError("the request was not answered with 200")

    loads: Tasks = {
        f"{clients} clients for {seconds} seconds": (
            lambda clients=clients, seconds=seconds: load(caller, clients, seconds)  # type: ignore[misc]
        )
        for clients in CLIENTS
        for seconds in (1, 5)
    }
    return {"one": one, **loads}


def load(caller: Callable[[], Ask], clients: int, seconds: float) -> dict[str, Any]:
    """Several callers at once, each asking again as soon as it has its answer.

    Returns the answers per second, the share refused, and the median and 95th percentile of the
    latency in seconds, counted from when all are connected until time is up. Raises what a caller
    raised.
    """
    answered: list[float] = []
    refused: list[float] = []
    ready = threading.Barrier(clients + 1)
    stop = threading.Event()

    def work() -> None:
        try:
            ask = caller()
            ask()
        except BaseException:
            ready.abort()  # or the others would wait forever
            raise
        ready.wait()
        while not stop.is_set():
            began = time.perf_counter()
            kept = answered if ask() else refused
            ended = time.perf_counter()
            if not stop.is_set():
                kept.append(ended - began)

    with ThreadPoolExecutor(clients) as pool:
        callers = [pool.submit(work) for _ in range(clients)]
        began = time.perf_counter()
        with suppress(threading.BrokenBarrierError):
            ready.wait()
            began = time.perf_counter()
            time.sleep(seconds)
        stop.set()
        elapsed = time.perf_counter() - began
    for error in (done.exception() for done in callers):
        if error is not None and not isinstance(error, threading.BrokenBarrierError):
            raise error
    return summary(answered, len(refused), elapsed)


def summary(answered: list[float], refused: int, elapsed: float) -> dict[str, Any]:
    """Throughput, share refused, and latencies in seconds (None if nothing was answered)."""
    cuts = quantiles(answered, n=20, method="inclusive") if len(answered) > 1 else None
    return {
        "per_second": len(answered) / elapsed,
        "refused": refused / max(1, refused + len(answered)),
        "p50": cuts[9] if cuts else None,
        "p95": cuts[18] if cuts else None,
    }
