"""The deployment at hand: the walk-through's two latency tables, throughput, cold starts."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median, quantiles
from typing import Any

from botocore.exceptions import ClientError

from bench.context import Bench
from bench.measure import Contender, Process
from bench.published import SOURCE, published_for
from bench.report import Chart, Section, Table, milliseconds, ratio
from bench.texts import NEAREST_CORPUS, NEAREST_QUERIES, NINE_SENTENCES, SHORT_QUESTION
from commands.cdk_cli import Choice
from commands.deployed_api import DeployedApi, find_api
from commands.target import Target
from faq_search.results import Deployment

CLIENTS = (1, 4, 16, 64)
EMBED, NEAREST = "embedding", "nearest neighbours"
_WEEK_SECONDS = 7 * 24 * 3600
# The walk-through's payloads, for /invocations and for the REST API.
_ENDPOINT_BODIES: Mapping[str, Mapping[str, Any]] = {
    EMBED: {"text_inputs": NINE_SENTENCES, "mode": "embedding"},
    NEAREST: {
        "corpus": NEAREST_CORPUS,
        "queries": NEAREST_QUERIES,
        "top_k": 3,
        "mode": "nn_corpus",
    },
}
_API_BODIES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    EMBED: ("/embed", {"texts": NINE_SENTENCES}),
    NEAREST: ("/nearest", {"corpus": NEAREST_CORPUS, "queries": NEAREST_QUERIES, "top_k": 3}),
}


@dataclass(frozen=True)
class Found:
    """What was measured of a deployment.

    latency: seconds of each request, by table, and by who was asked how. load: by who was asked
    and number of clients; see contenders.load. cold_starts: seconds of Lambda's initialisation,
    as far as the log of the last week tells.
    """

    deployed: Deployment
    is_local: bool
    latency: Mapping[str, Mapping[str, Sequence[float]]]
    load: Mapping[str, Mapping[int, Mapping[str, Any]]]
    cold_starts: Sequence[float]


def measure(bench: Bench, target: Target, choice: Choice) -> Section:
    """Asks each endpoint directly and through the REST API."""
    api = find_api(target, choice)
    with api.connect() as client:
        deployed = client.endpoints()
    requests, seconds = (5, 1) if bench.quick else (100, 5)
    callers = {
        table: {
            name: caller
            for endpoint in deployed.endpoints
            for name, caller in _callers(target, api, table, endpoint.instance_type, choice)
        }
        for table in (EMBED, NEAREST)
    }
    latency: dict[str, dict[str, Sequence[float]]] = {}
    with bench.step("latency", sum(map(len, callers.values()))) as done:
        for table, by_name in callers.items():
            latency[table] = {}
            for name, caller in by_name.items():
                with Process(caller) as process:
                    process.run("one", times=3)  # connections, and what was cold
                    latency[table][name] = process.run("one", times=requests).seconds
                done()
    load: dict[str, dict[int, Mapping[str, Any]]] = {}
    searching = _searchers(target, api, choice, deployed.endpoints[0].instance_type)
    with bench.step("throughput", len(searching) * len(CLIENTS)) as done:
        for name, caller in searching.items():
            load[name] = {}
            with Process(caller) as process:
                process.run("one", times=3)
                for clients in CLIENTS:
                    answer = process.run(f"{clients} clients for {seconds} seconds")
                    load[name][clients] = answer.value
                    done()
    found = Found(deployed, target.local is not None, latency, load, cold_starts(target, choice))
    return section(found)


def _callers(
    target: Target, api: DeployedApi, table: str, instance_type: str, choice: Choice
) -> list[tuple[str, Contender]]:
    path, body = _API_BODIES[table]
    return [
        (
            f"{instance_type}, endpoint",
            _endpoint(
                target, choice.settings.names.endpoint(instance_type), _ENDPOINT_BODIES[table]
            ),
        ),
        (
            f"{instance_type}, REST API",
            _rest(target, api, path, {**body, "instance_type": instance_type}),
        ),
    ]


def _searchers(
    target: Target, api: DeployedApi, choice: Choice, instance_type: str
) -> dict[str, Contender]:
    """One short question to the baked corpus."""
    question = {"queries": [SHORT_QUESTION], "top_k": 3}
    endpoint = choice.settings.names.endpoint(instance_type)
    return {
        f"{instance_type}, endpoint": _endpoint(
            target, endpoint, {**question, "mode": "nn_train_data"}
        ),
        "REST API": _rest(target, api, "/search", question),
    }


def _endpoint(target: Target, name: str, body: Mapping[str, Any]) -> Contender:
    given = {"name": name, "region": target.region, "body": json.dumps(body)}
    module = "bench.contenders.load:endpoint"
    return Contender(name, sys.executable, module, given, _environment(target))


def _rest(target: Target, api: DeployedApi, path: str, body: Mapping[str, Any]) -> Contender:
    given = {
        "url": api.url,
        "path": path,
        "body": json.dumps(body),
        "api_key": api.api_key,
        "region": api.region,
    }
    module = "bench.contenders.load:rest_api"
    return Contender(path, sys.executable, module, given, _environment(target))


def _environment(target: Target) -> dict[str, str]:
    return target.local.context.environment() if target.local else {}


def cold_starts(target: Target, choice: Choice) -> list[float]:
    """Seconds that Lambda took to initialise the front door, by its log of the last week.

    Empty where there was no cold start, the log may not be read, or Lambda does not say.
    """
    try:
        resources = target.client("cloudformation").describe_stack_resources(
            StackName=choice.settings.names.stack("FrontDoor")
        )["StackResources"]
        (group,) = (
            resource["PhysicalResourceId"]
            for resource in resources
            if resource["ResourceType"] == "AWS::Logs::LogGroup"
            and resource["LogicalResourceId"].startswith("FunctionLogs")
        )
        pages = (
            target.client("logs")
            .get_paginator("filter_log_events")
            .paginate(
                logGroupName=group,
                filterPattern='"Init Duration"',
                startTime=int((time.time() - _WEEK_SECONDS) * 1000),
            )
        )
        lines = [event["message"] for page in pages for event in page["events"]]
    except ClientError:
        return []
    return init_seconds(lines)


def init_seconds(lines: Sequence[str]) -> list[float]:
    """From Lambda's REPORT lines, those of cold starts."""
    found = (re.search(r"Init Duration: ([\d.]+) ms", line) for line in lines)
    return [float(match[1]) / 1000 for match in found if match]


def section(found: Found) -> Section:
    """The section from what was measured."""
    deployed = found.deployed
    published = published_for(deployed.model_id)
    columns = ["", "mean, ms", "p50, ms", "p95, ms"]
    notes = [
        f"{deployed.model_id} {deployed.model_version}, bake {deployed.bake_id[:12]}. Embedding:"
        " nine short sentences. Nearest neighbours: the walk-through's three queries and three"
        " corpus entries. One caller, a connection kept open.",
        f"Published: {SOURCE}. Other hardware, containers and networks than ours, and a batch for"
        " embedding whose size we do not know: for orientation.",
    ]
    if found.is_local:
        notes.append(
            "This is the local AWS: every endpoint runs on this machine's processors, whatever"
            " instance type it is named after; nothing here was measured on AWS."
        )
    if found.cold_starts:
        notes.append(
            f"Cold starts of the front door in the last week: {len(found.cold_starts)}, Lambda's"
            f" Init Duration {milliseconds(median(found.cold_starts))} ms (median),"
            f" {milliseconds(max(found.cold_starts))} ms (worst)."
        )
    else:
        notes.append(
            "Cold starts of the front door: the log of the last week has none (the local AWS"
            " writes no Init Duration); see the section Front door."
        )
    if any(one["refused"] for by_clients in found.load.values() for one in by_clients.values()):
        notes.append(
            "The REST API refuses what is beyond the stage's own limits (api.rate_limit,"
            " api.burst_limit)."
        )
    tables = []
    for table, by_name in found.latency.items():
        g5, c6i = ("?", "?")
        if published is not None:
            pair = (
                (published.embed_g5, published.embed_c6i)
                if table == EMBED
                else (published.nearest_g5, published.nearest_c6i)
            )
            g5, c6i = (f"{value:g}" for value in pair)
        (requests,) = {len(seconds) for seconds in by_name.values()}
        tables.append(
            Table(
                f"Latency of {table}, {requests} requests",
                [*columns, "published g5.2xlarge, mean ms", "published c6i.xlarge, mean ms"],
                [[name, *spread(seconds), g5, c6i] for name, seconds in by_name.items()],
            )
        )
    tables.append(_throughput(found.load))
    return Section(
        "deployment",
        "The deployment" + (" (local AWS)" if found.is_local else ""),
        notes=notes,
        tables=tables,
        charts=[
            Chart(
                "deployment-throughput",
                "Answered searches a second",
                "a second",
                [_clients(clients) for clients in CLIENTS],
                {
                    name: [by_clients[clients]["per_second"] for clients in CLIENTS]
                    for name, by_clients in found.load.items()
                },
            )
        ],
        data={
            "model": deployed.model_id,
            "latency_seconds": {
                table: {name: [round(s, 6) for s in seconds] for name, seconds in by_name.items()}
                for table, by_name in found.latency.items()
            },
            "load": {name: {str(n): v for n, v in one.items()} for name, one in found.load.items()},
            "cold_start_seconds": list(found.cold_starts),
        },
    )


def _throughput(load: Mapping[str, Mapping[int, Mapping[str, Any]]]) -> Table:
    rows = []
    for name, by_clients in load.items():
        for clients, one in by_clients.items():
            rows.append(
                [
                    f"{name}, {_clients(clients)}",
                    f"{one['per_second']:,.0f}",
                    ratio(one["per_second"] / max(1e-9, by_clients[1]["per_second"])),
                    milliseconds(one["p50"]) if one["p50"] is not None else "none",
                    milliseconds(one["p95"]) if one["p95"] is not None else "none",
                    f"{one['refused']:.0%}",
                ]
            )
    columns = ["", "answers a second", "of one client's", "p50, ms", "p95, ms", "refused"]
    return Table("Throughput of one short question to the baked corpus", columns, rows)


def spread(seconds: Sequence[float]) -> tuple[str, str, str]:
    """Mean, median and 95th percentile, in milliseconds."""
    p95 = quantiles(seconds, n=20, method="inclusive")[18]
    return milliseconds(mean(seconds)), milliseconds(median(seconds)), milliseconds(p95)


def _clients(count: int) -> str:
    return f"{count} clients" if count > 1 else "1 client"
