"""Runs every minute: asks every endpoint what the bake's own probes ask, and counts the failures.

What it prints are metrics (see metric_lines): alarms on them take a bad update back, and tell
somebody about an endpoint that answers wrong. Its dimensions are Stage, EndpointName and BakeId.
"""

from __future__ import annotations

import json
import logging
import os
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.config import Config

from boto_config import PATIENT
from examination.endpoint import Endpoint
from examination.metric_lines import print_metrics
from examination.probes import Probe
from examination.rounds import Examination, examine

# A question that takes longer is no answer; its caller would have gone.
_READ_SECONDS = 15
# No request starts when this much of the function's time is left, so that the metrics get out.
_RESERVE_SECONDS = _READ_SECONDS + 5.0
# Trouble of a moment, e.g. an instance that is being replaced, is none.
_PAUSES_SECONDS = (1.0, 2.0)
# As many as make it likely that each part of the fleet is met, in an update the new one as well.
_ROUNDS = 5

logging.getLogger().setLevel(logging.INFO)
_log = logging.getLogger(__name__)

_stage = os.environ["APP_STAGE"]
_endpoint_names: list[str] = json.loads(os.environ["ENDPOINT_NAMES"])
_deployment_parameter = os.environ["DEPLOYMENT_PARAMETER"]
_tolerance = float(os.environ["TOLERANCE"])

_runtime = boto3.client(
    "sagemaker-runtime",
    config=Config(retries={"total_max_attempts": 1}, connect_timeout=3, read_timeout=_READ_SECONDS),
)
_ssm = boto3.client("ssm", config=PATIENT)
# The probes of the bakes met last, by endpoint: a fleet that is being replaced serves two.
_known: dict[str, dict[str, list[Probe]]] = {}


def handler(event: Any, context: Any) -> None:
    """Examine all endpoints at once and print what was found."""
    del event
    give_up_at = time.monotonic() + context.get_remaining_time_in_millis() / 1000
    give_up_at -= _RESERVE_SECONDS

    def examined(name: str) -> Examination:
        endpoint = Endpoint(_runtime, name, give_up_at, _PAUSES_SECONDS)
        return examine(endpoint, _known.setdefault(name, {}), _tolerance, _ROUNDS)

    with ThreadPoolExecutor(len(_endpoint_names)) as pool:
        for name, found in zip(_endpoint_names, pool.map(examined, _endpoint_names), strict=True):
            _print(name, found)
    _print_corpus_age()


def _print(name: str, found: Examination) -> None:
    for fault in dict.fromkeys(found.faults):  # each round may find the same
        _log.error("Endpoint %s: %s", name, fault)
    dimensions = {"Stage": _stage, "EndpointName": name}
    metrics: dict[str, Any] = {"ProbeFailed": (int(found.failed), "None")}
    if found.milliseconds:
        metrics["ProbeLatency"] = (found.milliseconds, "Milliseconds")
    print_metrics(dimensions, metrics)
    for bake_id, failed in found.by_bake().items():
        print_metrics({**dimensions, "BakeId": bake_id}, {"ProbeFailed": (int(failed), "None")})


def _print_corpus_age() -> None:
    """How long the deployed corpus, model or code has been the same."""
    try:
        parameter = _ssm.get_parameter(Name=_deployment_parameter)["Parameter"]
    except Exception:
        # No reason to lose the metrics of the endpoints.
        _log.exception("What is deployed cannot be read")
        return
    age = datetime.now(UTC) - parameter["LastModifiedDate"]
    print_metrics({"Stage": _stage}, {"CorpusAgeDays": (age.total_seconds() / 86_400, "None")})
