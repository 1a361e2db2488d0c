"""Throughput at /invocations under the real model server, by number of clients."""

from __future__ import annotations

import json
import shutil
import sys
from statistics import median
from typing import Any

from bench.context import Bench
from bench.measure import BenchError, Contender, Process
from bench.model_server import model_server
from bench.report import Chart, Section, Table, milliseconds, ratio
from bench.texts import SHORT_QUESTION

CLIENTS = (1, 4, 16, 64)
# Of a server and a number of clients, what each round came to: see contenders.load.
Found = dict[str, dict[int, list[dict[str, Any]]]]


def measure(bench: Bench) -> Section:
    """One short question to the baked corpus: one worker, and as the deployment has it."""
    if shutil.which("java") is None:
        raise BenchError("needs Java, which multi-model-server is written in")
    # Here, since it brings the whole of the CDK.
    from stacks.serving_model import CPU_WORKERS  # noqa: PLC0415

    environments = {
        "one worker": {"SAGEMAKER_MODEL_SERVER_WORKERS": "1"},
        f"{CPU_WORKERS['SAGEMAKER_MODEL_SERVER_WORKERS']} workers": CPU_WORKERS,
    }
    body = {"queries": [SHORT_QUESTION], "top_k": 3, "mode": "nn_train_data"}
    seconds, rounds = (1, 1) if bench.quick else (5, 3)
    found: Found = {name: {clients: [] for clients in CLIENTS} for name in environments}
    with bench.step("/invocations", rounds * len(found) * len(CLIENTS)) as done:
        for _ in range(rounds):
            # Alternating as a whole, since only one server can run at a time.
            for name, environment in environments.items():
                with model_server(bench.python, bench.base, environment) as url:
                    given = {
                        "url": url,
                        "headers": {"Content-Type": "application/json"},
                        "body": json.dumps(body),
                    }
                    caller = Contender(name, sys.executable, "bench.contenders.load:http", given)
                    with Process(caller) as process:
                        # A Java server, and each of its workers, has to warm up.
                        process.run(f"4 clients for {seconds} seconds")
                        for clients in CLIENTS:
                            answer = process.run(f"{clients} clients for {seconds} seconds")
                            found[name][clients].append(answer.value)
                            done()
    return section(found)


def section(found: Found) -> Section:
    """The section from what the load came to, by server and number of clients."""

    def value(name: str, clients: int, key: str) -> float:
        return float(median(one[key] for one in found[name][clients]))

    def paired(over: tuple[str, int], under: tuple[str, int], key: str) -> float:
        rounds = zip(found[over[0]][over[1]], found[under[0]][under[1]], strict=True)
        return float(median(a[key] / b[key] for a, b in rounds))

    rows = [
        [
            f"{name}, {clients} clients" if clients > 1 else f"{name}, 1 client",
            f"{value(name, clients, 'per_second'):,.0f}",
            ratio(paired((name, clients), (name, 1), "per_second")),
            milliseconds(value(name, clients, "p50")),
            milliseconds(value(name, clients, "p95")),
        ]
        for name, by_clients in found.items()
        for clients in by_clients
    ]
    one, many = tuple(found)
    slower = paired((many, 1), (one, 1), "p50")
    return Section(
        "invocations",
        "/invocations under multi-model-server",
        notes=[
            "The server of the inference image on this machine, one short question to the baked"
            " corpus, one process of plain http.client callers beside it on the same processors.",
            f"With {many} the requests that arrive together are encoded together. One client's own"
            f" latency is {ratio(slower)} of that with one worker.",
        ],
        tables=[
            Table(
                "Throughput and latency",
                ["", "answers a second", "of one client's", "p50, ms", "p95, ms"],
                rows,
            )
        ],
        charts=[
            Chart(
                "invocations",
                "Answers a second at /invocations",
                "a second",
                [f"{clients} clients" for clients in found[one]],
                {
                    name: [value(name, clients, "per_second") for clients in by_clients]
                    for name, by_clients in found.items()
                },
            )
        ],
        data={
            name: {str(clients): rounds for clients, rounds in by_clients.items()}
            for name, by_clients in found.items()
        },
    )
