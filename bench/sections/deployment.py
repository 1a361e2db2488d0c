"""The chosen deployment: the walk-through's two latency tables, throughput, cold starts."""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median, quantiles
from typing import Any, Final

from botocore.exceptions import ClientError

from bench.contenders.load import CLIENTS
from bench.context import Bench
from bench.measure import Contender, Process
from bench.report import Section, Table, milliseconds, throughput
from bench.texts import NEAREST_CORPUS, NEAREST_QUERIES, NINE_SENTENCES, SHORT_QUESTION
from commands.deployed_api import find_api
from commands.target import Choice, Target
from commands.verify.reading import STARTS_FILTER, init_seconds
from faq_search.results import Deployment
from faq_search.settings import Api

EMBED, NEAREST = "embedding", "nearest neighbours"
_WEEK_SECONDS = 7 * 24 * 3600
# The walk-through's payloads: for /invocations; path and body for the REST API.
_NEAREST = {"corpus": NEAREST_CORPUS, "queries": NEAREST_QUERIES, "top_k": 3}
_BODIES: Mapping[str, tuple[Mapping[str, Any], str, Mapping[str, Any]]] = {
    EMBED: (
        {"text_inputs": NINE_SENTENCES, "mode": "embedding"},
        *("/embed", {"texts": NINE_SENTENCES}),
    ),
    NEAREST: ({**_NEAREST, "mode": "nn_corpus"}, "/nearest", _NEAREST),
}
_SOURCE: Final = (
    "AWS's walk-through for JumpStart text embeddings: mean latency of 100 requests with the same"
    " batch, its own containers, on the instances named"
)
# The walk-through's mean milliseconds by model: embedding on g5.2xlarge and c6i.xlarge, nearest
# neighbours on both. Not all of its texts are known, and it called from a notebook inside AWS.
_PUBLISHED: Final = Path(__file__).parent.parent / "published_latency.csv"


@dataclass(frozen=True)
class Found:
    """What was measured of a deployment.

    `latency` has the seconds of each request by table and caller; `load` the result of
    `contenders.load` by caller and number of clients; `cold_starts` the seconds of Lambda's
    initialisations that the log of the last week holds.
    """

    deployed: Deployment
    is_local: bool
    latency: Mapping[str, Mapping[str, Sequence[float]]]
    load: Mapping[str, Mapping[int, Mapping[str, Any]]]
    cold_starts: Sequence[float]


class _Callers:
    """Contenders that call the deployment's endpoints and its REST API."""

    def __init__(self, target: Target, choice: Choice, api: Api) -> None:
        self._region = target.region
        self._environment = target.local.context.environment() if target.local else {}
        self._settings = choice.settings
        self._api = api

    def endpoint(self, instance_type: str, body: Mapping[str, Any]) -> Contender:
        """By InvokeEndpoint."""
        name = self._settings.names.endpoint(instance_type)
        return self._contender("endpoint", body, name=name, region=self._region)

    def rest(self, path: str, body: Mapping[str, Any]) -> Contender:
        """Through the REST API."""
        api = self._api
        given = {"url": api.url, "path": path, "api_key": api.api_key, "region": api.region}
        return self._contender("rest_api", body, **given)

    def _contender(self, function: str, body: Mapping[str, Any], **given: object) -> Contender:
        target = f"bench.contenders.load:{function}"
        arguments = {**given, "body": json.dumps(body)}
        return Contender(function, sys.executable, target, arguments, self._environment)


def measure(bench: Bench, target: Target, choice: Choice) -> Section:
    """Calls each endpoint directly and through the REST API."""
    api = find_api(target, choice)
    with api.connect() as client:
        deployed = client.endpoints()
    callers = _Callers(target, choice, api)
    types = [endpoint.instance_type for endpoint in deployed.endpoints]
    requests, seconds = (5, 1) if bench.quick else (100, 5)
    latency: dict[str, dict[str, Sequence[float]]] = {table: {} for table in _BODIES}
    with bench.step("latency", 2 * len(types) * len(_BODIES)) as done:
        for table, (endpoint_body, path, body) in _BODIES.items():
            for each in types:
                for name, caller in (
                    (f"{each}, endpoint", callers.endpoint(each, endpoint_body)),
                    (f"{each}, REST API", callers.rest(path, {**body, "instance_type": each})),
                ):
                    with Process(caller) as process:
                        process.run("one", times=3)  # opens connections, warms up
                        latency[table][name] = process.run("one", times=requests).seconds
                    done()
    question = {"queries": [SHORT_QUESTION], "top_k": 3}
    load: dict[str, dict[int, Mapping[str, Any]]] = {}
    with bench.step("throughput", 2 * len(CLIENTS)) as done:
        for name, caller in (
            (
                f"{types[0]}, endpoint",
                callers.endpoint(types[0], {**question, "mode": "nn_train_data"}),
            ),
            ("REST API", callers.rest("/search", question)),
        ):
            load[name] = {}
            with Process(caller) as process:
                process.run("one", times=3)
                for clients in CLIENTS:
                    answer = process.run(f"{clients} clients for {seconds} seconds")
                    load[name][clients] = answer.value
                    done()
    is_local = target.local is not None
    return section(Found(deployed, is_local, latency, load, _cold_starts(target, choice)))


def _cold_starts(target: Target, choice: Choice) -> list[float]:
    """Seconds that Lambda took to initialise the front door, by its log of the last week.

    Empty if there was no cold start, the log cannot be read, or Lambda does not say.
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
                filterPattern=STARTS_FILTER,
                startTime=int((time.time() - _WEEK_SECONDS) * 1000),
            )
        )
        return init_seconds(event["message"] for page in pages for event in page["events"])
    except ClientError:
        return []


def section(found: Found) -> Section:
    """The section from what was measured."""
    table, chart = throughput("deployment-throughput", found.load)
    return Section(
        "The deployment" + (" (local AWS)" if found.is_local else ""),
        notes=_notes(found),
        tables=[*_latency(found), table],
        charts=[chart],
    )


def _notes(found: Found) -> list[str]:
    deployed, cold = found.deployed, found.cold_starts
    notes = [
        f"{deployed.model_id} {deployed.model_version}, bake {deployed.bake_id[:12]}. Embedding:"
        " nine short sentences. Nearest neighbours: the walk-through's three queries and three"
        " corpus entries. One caller, whose connection stays open.",
        f"Published: {_SOURCE}. Its hardware, containers and networks differ from ours, and the"
        " size of its batch for embedding is unknown: for orientation only.",
    ]
    if found.is_local:
        notes.append(
            "This is the local AWS: every endpoint runs on this machine's processors, whatever"
            " instance type it is named after; nothing here was measured on AWS."
        )
    notes.append(
        f"Cold starts of the front door in the last week: {len(cold)}, Lambda's Init Duration"
        f" {milliseconds(median(cold))} ms (median), {milliseconds(max(cold))} ms (worst)."
        if cold
        else "Cold starts of the front door: the log of the last week has none (the local AWS"
        " writes no Init Duration); see the section Front door."
    )
    if any(one["refused"] for by_clients in found.load.values() for one in by_clients.values()):
        notes.append(
            "The REST API refuses requests beyond the stage's own limits (api.rate_limit,"
            " api.burst_limit)."
        )
    return notes


def _latency(found: Found) -> list[Table]:
    model = found.deployed.model_id.removeprefix("huggingface-sentencesimilarity-")
    published = read_published().get(model, ["?"] * 4)
    tables = []
    for number, (table, by_name) in enumerate(found.latency.items()):
        (requests,) = {len(seconds) for seconds in by_name.values()}
        columns = ["", "mean, ms", "p50, ms", "p95, ms"]
        columns += [f"published {each}, mean ms" for each in ("g5.2xlarge", "c6i.xlarge")]
        theirs = published[2 * number : 2 * number + 2]
        rows = [[name, *spread(seconds), *theirs] for name, seconds in by_name.items()]
        tables.append(Table(f"Latency of {table}, {requests} requests", columns, rows))
    return tables


def read_published() -> dict[str, list[str]]:
    """By model: embedding on g5.2xlarge and c6i.xlarge, nearest neighbours on both."""
    with _PUBLISHED.open(encoding="utf-8", newline="") as stream:
        _, *rows = csv.reader(stream)
    return {model: means for model, *means in rows}


def spread(seconds: Sequence[float]) -> tuple[str, str, str]:
    """Mean, median and 95th percentile, in milliseconds."""
    p95 = quantiles(seconds, n=20, method="inclusive")[18]
    return milliseconds(mean(seconds)), milliseconds(median(seconds)), milliseconds(p95)
