"""Our model server beside the servers that people would pick, all with the same weights in fp32."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from bench.context import MINILM, Bench
from bench.http_server import HttpServer, ServerProcess
from bench.measure import BenchError, Contender, Process
from bench.model_server import ModelServer, free_port
from bench.processes import MemoryLog
from bench.report import Section, Table, megabytes, milliseconds, ratio, throughput
from bench.sections.invocations import Load
from bench.texts import SHORT_QUESTION
from stage.model_server import CPU_WORKERS

OURS = "ours"
# One client's latency is compared by many short turns.
LOADS = (Load(1, 1, 15), Load(16, 5, 3), Load(64, 5, 3))
# Java compiles what runs often: ours answers a fifth more after half a minute than at first.
_WARM_UP = Load(64, 5, 6)
_STARTS = 3
_SAMPLE_SECONDS = 1.0


@dataclass(frozen=True)
class Server:
    """How to start a server on a port, and the path and body of a request with one question."""

    start: Callable[[int], ServerProcess]
    path: str
    body: str


@dataclass
class Found:
    """By server: the seconds to the first answer of each start, results of contenders.load by
    number of clients, the most bytes that all processes held.
    """

    starts: dict[str, list[float]] = field(default_factory=dict)
    loads: dict[str, dict[int, list[Mapping[str, Any]]]] = field(default_factory=dict)
    peaks: dict[str, int] = field(default_factory=dict)


def measure(bench: Bench) -> Section:
    """First starts, one server after another; then all run side by side and are asked in turns."""
    if shutil.which("java") is None:
        raise BenchError("needs Java, for multi-model-server")
    servers = _servers(bench)
    found = Found()
    starts = 1 if bench.quick else _STARTS
    with bench.step("starts", (starts + 1) * len(servers)) as done:
        for number in range(starts + 1):  # the first, which does not count, fills the page cache
            for name, server in servers.items():
                port = free_port()
                with server.start(port) as running:
                    seconds = _first_answer(server, running, port)
                if number:
                    found.starts.setdefault(name, []).append(seconds)
                done()
    bench.publish(section(found))
    warm_up, *loads = (
        Load(load.clients, 1, 1) if bench.quick else load for load in (_WARM_UP, *LOADS)
    )
    with ExitStack() as stack:
        callers, memory = {}, {}
        for name, server in servers.items():
            port = free_port()
            running = stack.enter_context(server.start(port))
            _first_answer(server, running, port)
            given = {
                "url": f"http://127.0.0.1:{port}{server.path}",
                "headers": {"Content-Type": "application/json"},
                "body": server.body,
            }
            contender = Contender(name, sys.executable, "bench.contenders.load:http", given)
            callers[name] = stack.enter_context(Process(contender))
            memory[name] = MemoryLog(running.group)
            found.loads[name] = {}
        turns = len(callers) * sum(load.rounds for load in (warm_up, *loads))
        done = stack.enter_context(bench.step("servers", turns))
        for caller in callers.values():
            for _ in range(warm_up.rounds):
                caller.run(f"{warm_up.clients} clients for {warm_up.seconds} seconds")
                done()
        for load in loads:
            for _ in range(load.rounds):
                for name, caller in callers.items():
                    with memory[name].watching(_SAMPLE_SECONDS):
                        task = f"{load.clients} clients for {load.seconds} seconds"
                        result = caller.run(task).value
                    found.loads[name].setdefault(load.clients, []).append(result)
                    found.peaks[name] = memory[name].peak
                    done()
            bench.publish(section(found))
    return section(found)


def _servers(bench: Bench) -> dict[str, Server]:
    """All of them; those of other projects only if they are installed."""
    ours = json.dumps({"text_inputs": [SHORT_QUESTION]})
    theirs = json.dumps({"input": [SHORT_QUESTION], "model": "model"})

    def start_ours(port: int) -> ModelServer:
        # Without a stage's limit of the queue: all wait, as they do at the others.
        return ModelServer(bench.python, bench.base, CPU_WORKERS, port)

    def start_plain(port: int) -> HttpServer:
        module = "bench.contenders.plain_server"
        return HttpServer([bench.python, "-m", module, str(MINILM), str(port)])

    servers = {
        OURS: Server(start_ours, "/invocations", ours),
        "FastAPI and sentence-transformers": Server(start_plain, "/embeddings", theirs),
    }
    if bench.servers is not None:
        for engine, model in (("torch", MINILM), ("optimum", bench.onnx)):
            servers[f"infinity, {engine}"] = Server(
                _infinity(bench.servers, engine, model, bench.work), "/embeddings", theirs
            )
    return servers


def _infinity(python: str, engine: str, model: Path, work: Path) -> Callable[[int], HttpServer]:
    # It finds an ONNX file only in the current folder; what it optimises goes below HF_HOME.
    command = [
        *(str(Path(python).with_name("infinity_emb")), "v2", "--model-id", "."),
        *("--served-model-name", "model", "--engine", engine, "--device", "cpu"),
        *("--dtype", "float32", "--pooling-method", "mean", "--no-bettertransformer"),
        *("--host", "127.0.0.1", "--log-level", "warning"),
    ]
    environment = {
        "HF_HOME": str(work / "huggingface"),
        "INFINITY_ANONYMOUS_USAGE_STATS": "0",
        "DO_NOT_TRACK": "1",
    }
    return lambda port: HttpServer([*command, "--port", str(port)], environment, model)


def _first_answer(server: Server, running: ServerProcess, port: int) -> float:
    return running.wait_for_answer(f"http://127.0.0.1:{port}{server.path}", server.body)


def section(found: Found) -> Section:
    """The section from what is measured so far."""
    keys = ("per_second", "p50", "p95", "refused")
    load = {
        name: {
            clients: {key: median(one[key] for one in rounds) for key in keys}
            for clients, rounds in by_clients.items()
        }
        for name, by_clients in found.loads.items()
        if by_clients
    }
    tables, charts = [], []
    if load:
        table, chart = throughput("servers", load, "Throughput of one short question's vector")
        tables.append(table)
        charts.append(chart)
    rows = [
        [
            name,
            milliseconds(median(seconds)),
            megabytes(found.peaks[name]) if name in found.peaks else "-",
            *_ours_faster(found, name),
        ]
        for name, seconds in found.starts.items()
    ]
    columns = ["", "start to first answer, ms", "peak memory of all processes, MB"]
    columns += ["ours starts, times faster"]
    clients = [each.clients for each in LOADS]
    columns += [f"ours answers, times as many ({n} client{'s' * (n > 1)})" for n in clients]
    return Section(
        "Beside other servers",
        notes=[
            "Real HTTP servers, all-MiniLM-L6-v2 in fp32, one short question a request, answered"
            " with its vector as JSON; on this machine with the callers, in turns, after half a"
            " minute with 64 clients each. Ratios are the medians of the rounds' ratios.",
            "Ours is the inference image's multi-model-server with a baked artifact, with a CPU"
            " endpoint's workers, and a queue for all callers. infinity (infinity-emb on PyPI)"
            " runs with its defaults, its optimum engine with an ONNX export of the same weights,"
            " which it optimises at its first start. FastAPI's server calls"
            " sentence-transformers in its threads, as tutorials do.",
            "Start: from the process's start to the first answer, files in the page cache, nothing"
            " else running. Memory: of all processes together, shared pages once, sampled every"
            f" {_SAMPLE_SECONDS:.0f} s under load.",
        ],
        tables=[*tables, Table("Starts and memory", columns, rows)],
        charts=charts,
    )


def _ours_faster(found: Found, name: str) -> list[str]:
    """By how much ours is ahead: at the start, and with each number of clients."""

    def compared(theirs: list[float], ours: list[float]) -> str:
        pairs = zip(theirs, ours, strict=True)
        return ratio(median(their / our for their, our in pairs))

    cells = [compared(found.starts[name], found.starts[OURS])]
    for load in LOADS:
        ours, theirs = (
            [one["per_second"] for one in found.loads.get(each, {}).get(load.clients, [])]
            for each in (OURS, name)
        )
        # A server that has answered nothing cannot be compared with.
        measured = ours and len(ours) == len(theirs) and all(theirs)
        cells.append(compared(ours, theirs) if measured else "-")
    return cells
