"""Throughput and latency at /invocations under the real model server, by number of clients."""

from __future__ import annotations

import json
import shutil
import sys
from contextlib import ExitStack
from statistics import median
from typing import Any, NamedTuple

from bench.context import Bench
from bench.measure import BenchError, Contender, Process
from bench.model_server import ModelServer
from bench.report import Section, ratio, throughput
from bench.texts import SHORT_QUESTION
from container.machine import available_cpus
from stage.model_server import CPU_WORKERS

# A second program for the artifact, which makes each worker believe that it is alone and load the
# model.
_MODEL_EACH = "model_each.py"
_MODEL_EACH_CODE = """
import os
os.environ["SAGEMAKER_MODEL_SERVER_WORKERS"] = "1"
from inference import model_fn, transform_fn
"""


class Load(NamedTuple):
    """A number of clients, how many seconds they ask, and how often."""

    clients: int
    seconds: int
    rounds: int


# The servers are compared by one client's latency, hence its many short turns.
LOADS = (Load(1, 1, 20), Load(4, 5, 3), Load(16, 5, 3), Load(64, 5, 3))
WARM_UP = Load(16, 5, 1)
# By server and number of clients, each round's result: see contenders.load.
Found = dict[str, dict[int, list[dict[str, Any]]]]


def measure(bench: Bench) -> Section:
    """One short question to the baked corpus; the servers run side by side and take turns."""
    if shutil.which("java") is None:
        raise BenchError("needs Java, for multi-model-server")
    (bench.artifact / "code" / _MODEL_EACH).write_text(_MODEL_EACH_CODE)
    workers = "SAGEMAKER_MODEL_SERVER_WORKERS"
    cpus = str(available_cpus())
    environments = {
        "one worker": {workers: "1"},
        # As many as the server starts by default.
        f"{cpus} workers, a model each": {workers: cpus, "SAGEMAKER_PROGRAM": _MODEL_EACH},
        f"{CPU_WORKERS[workers]} workers, one model": CPU_WORKERS,
    }
    question = {"queries": [SHORT_QUESTION], "top_k": 3, "mode": "nn_train_data"}
    loads = [Load(load.clients, 1, 1) for load in LOADS] if bench.quick else LOADS
    found: Found = {name: {load.clients: [] for load in loads} for name in environments}
    turns = len(found) * (1 + sum(load.rounds for load in loads))
    with ExitStack() as stack, bench.step("/invocations", turns) as done:
        callers = {}
        for name, environment in environments.items():
            server = stack.enter_context(ModelServer(bench.python, bench.base, environment))
            server.wait_until_up()
            given = {
                "url": f"{server.url}/invocations",
                "headers": {"Content-Type": "application/json"},
                "body": json.dumps(question),
            }
            contender = Contender(name, sys.executable, "bench.contenders.load:http", given)
            callers[name] = stack.enter_context(Process(contender))
        # The Java server and each of its workers have to warm up.
        for caller in callers.values():
            _run(caller, WARM_UP)
            done()
        for load in loads:
            for _ in range(load.rounds):
                for name, caller in callers.items():
                    found[name][load.clients].append(_run(caller, load))
                    done()
    return section(found)


def _run(caller: Process, load: Load) -> dict[str, Any]:
    result: dict[str, Any] = caller.run(f"{load.clients} clients for {load.seconds} seconds").value
    return result


def section(found: Found) -> Section:
    """The section from each round's result, by server and number of clients."""
    keys = ("per_second", "p50", "p95", "refused")
    load = {
        name: {
            clients: {key: median(one[key] for one in rounds) for key in keys}
            for clients, rounds in by_clients.items()
        }
        for name, by_clients in found.items()
    }
    table, chart = throughput("invocations", load)

    def alone(name: str, other: str) -> str:
        rounds = zip(found[name][1], found[other][1], strict=True)
        return ratio(float(median(ours["p50"] / theirs["p50"] for ours, theirs in rounds)))

    first, each, shared = tuple(found)
    return Section(
        "/invocations under multi-model-server",
        notes=[
            "The server of the inference image on this machine, and a process of plain http.client"
            " callers on the same processors.",
            f"With {shared}, simultaneous requests are encoded together; {each} is the server's"
            " default.",
            f"One client's own latency with {shared} is {alone(shared, first)} of that with {first}"
            f" and {alone(shared, each)} of that with {each}; the latter's is"
            f" {alone(each, first)} of that with {first}.",
        ],
        tables=[table],
        charts=[chart],
    )
