"""Callers of a running server: one or many, each with a connection kept open."""

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

# What a caller does: asks once, and says whether it was answered.
Ask = Callable[[], bool]
Tasks = dict[str, Callable[[], Any]]


def http(url: str, headers: dict[str, str], body: str) -> Tasks:
    """POST the same body over plain http.client."""
    return tasks(lambda: _post(url, body, lambda _: headers))


def rest_api(url: str, path: str, body: str, api_key: str | None, region: str | None) -> Tasks:
    """POST the same body to a path of a REST API, signed where there is no key."""
    from faq_search.signing import api_key_signer, iam_signer  # noqa: PLC0415

    signer = api_key_signer(api_key) if api_key else iam_signer(url, region)
    whole = url.rstrip("/") + path
    usual = {"Content-Type": "application/json", "Accept": "application/json"}
    return tasks(lambda: _post(whole, body, lambda data: usual | signer("POST", whole, data)))


def _post(url: str, body: str, headers: Callable[[bytes], dict[str, str]]) -> Ask:
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
    """InvokeEndpoint with the same body, by boto3's client."""
    from botocore.config import Config  # noqa: PLC0415
    from botocore.exceptions import ClientError  # noqa: PLC0415
    from botocore.session import Session  # noqa: PLC0415

    config = Config(max_pool_connections=64, retries={"total_max_attempts": 1})
    client = Session().create_client("sagemaker-runtime", region_name=region, config=config)

    def ask() -> bool:
        try:
            client.invoke_endpoint(
                EndpointName=name, ContentType="application/json", Body=body.encode()
            )["Body"].read()
        except ClientError:
            return False
        return True

    return tasks(lambda: ask)


def tasks(caller: Callable[[], Ask]) -> Tasks:
    """`one`: a request. `<n> clients for <s> seconds`, for any of the bench: see `load`."""
    only = caller()

    def one() -> None:
        if not only():
            raise RuntimeError("the request was not answered with 200")

    return {
        "one": one,
        **{
            f"{clients} clients for {seconds} seconds": _load(caller, clients, seconds)
            for clients in (1, 4, 16, 64)
            for seconds in (1, 5)
        },
    }


def _load(caller: Callable[[], Ask], clients: int, seconds: float) -> Callable[[], dict[str, Any]]:
    return lambda: load(caller, clients, seconds)


def load(caller: Callable[[], Ask], clients: int, seconds: float) -> dict[str, Any]:
    """So many callers at once, each asking again as soon as it is answered.

    Returns the answered requests a second, the share refused, and the latency's median and 95th
    percentile in seconds. Counted from when all are connected to when time is up. Raises what a
    caller raised.
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
            ready.abort()  # or the others would wait for ever
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
    """Throughput, share refused, and latencies in seconds (None where nothing was answered)."""
    cuts = quantiles(answered, n=20, method="inclusive") if len(answered) > 1 else None
    return {
        "per_second": len(answered) / elapsed,
        "refused": refused / max(1, refused + len(answered)),
        "p50": cuts[9] if cuts else None,
        "p95": cuts[18] if cuts else None,
    }
