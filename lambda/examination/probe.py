"""Runs every minute: asks every endpoint its bake's probes and publishes what failed as metrics.

Alarms on them roll a bad update back and report endpoints that answer wrong.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cache
from typing import Any

import boto3
from botocore.config import Config

from boto_config import PATIENT
from contract.metrics import (
    CORPUS_AGE_DAYS,
    NAMESPACE,
    PROBE_FAILED,
    PROBE_LATENCY,
    endpoint_dimensions,
    stage_dimensions,
)
from examination.endpoint import Endpoint
from examination.examine import Examination, Probe, examine

# A caller would not wait longer for an answer.
_READ_SECONDS = 15
# No request starts with less of the function's time left, so that the metrics get out.
_RESERVE_SECONDS = _READ_SECONDS + 5.0
# Momentary failures, e.g. while an instance is replaced, do not count.
_PAUSES_SECONDS = (1.0, 2.0)
# Enough to meet each part of the fleet with some likelihood, and during an update the new one too.
_ROUNDS = 5
# CloudWatch takes no more values of one metric in a line.
_MAX_VALUES = 100

logging.getLogger().setLevel(logging.INFO)
logger = logging.getLogger(__name__)


class Prober:
    """Probes the endpoints that its environment variables name."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._stage = variables["APP_STAGE"]
        self._endpoint_names: list[str] = json.loads(variables["ENDPOINT_NAMES"])
        self._corpus_parameter = variables["CORPUS_PARAMETER"]
        self._tolerance = float(variables["TOLERANCE"])
        self._runtime = boto3.client(
            "sagemaker-runtime",
            config=Config(
                retries={"total_max_attempts": 1}, connect_timeout=3, read_timeout=_READ_SECONDS
            ),
        )
        self._ssm = boto3.client("ssm", config=PATIENT)
        # By endpoint and bake: during an update an endpoint serves two.
        self._known: dict[str, dict[str, list[Probe]]] = {name: {} for name in self._endpoint_names}

    def run(self, remaining_seconds: float) -> None:
        """Examines all endpoints at once and prints the metrics."""
        give_up_at = time.monotonic() + remaining_seconds - _RESERVE_SECONDS

        def examined(name: str) -> Examination:
            endpoint = Endpoint(self._runtime, name, give_up_at, _PAUSES_SECONDS)
            return examine(endpoint, self._tolerance, rounds=_ROUNDS, known=self._known[name])

        with ThreadPoolExecutor(len(self._endpoint_names)) as pool:
            results = pool.map(examined, self._endpoint_names)
            for name, found in zip(self._endpoint_names, results, strict=True):
                self._print_examination(name, found)
        self._print_corpus_age()

    def _print_examination(self, name: str, found: Examination) -> None:
        for problem in dict.fromkeys(found.problems):  # rounds tend to find the same
            logger.error("Endpoint %s: %s", name, problem)
        metrics: dict[str, Any] = {PROBE_FAILED: (int(found.failed), "None")}
        if found.milliseconds:
            metrics[PROBE_LATENCY] = (found.milliseconds, "Milliseconds")
        print_metrics(endpoint_dimensions(self._stage, name), metrics)
        for bake_id, failed in found.by_bake().items():
            dimensions = endpoint_dimensions(self._stage, name, bake_id)
            print_metrics(dimensions, {PROBE_FAILED: (int(failed), "None")})

    def _print_corpus_age(self) -> None:
        """Prints how long the deployed corpus, model and code have been the same."""
        try:
            parameter = self._ssm.get_parameter(Name=self._corpus_parameter)["Parameter"]
        except self._ssm.exceptions.ParameterNotFound:
            return  # an index of S3 Vectors is loaded for the first time
        except Exception:
            # The metrics of the endpoints are out and must not be lost.
            logger.exception("The parameter that names the corpus cannot be read")
            return
        age = datetime.now(UTC) - parameter["LastModifiedDate"]
        days = age.total_seconds() / 86_400
        print_metrics(stage_dimensions(self._stage), {CORPUS_AGE_DAYS: (days, "None")})


def print_metrics(
    dimensions: Mapping[str, str], metrics: Mapping[str, tuple[float | Sequence[float], str]]
) -> None:
    """Prints a line from which CloudWatch makes metrics (embedded metric format).

    Unlike a call to CloudWatch it cannot be slow or throttled.

    Args:
        dimensions: of each metric.
        metrics: by name, one or more values and their unit, e.g. ([12.5, 13], "Milliseconds").
    """
    values = {
        name: list(value)[:_MAX_VALUES] if isinstance(value, Sequence) else value
        for name, (value, _) in metrics.items()
    }
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": [list(dimensions)],
        "Metrics": [{"Name": name, "Unit": unit} for name, (_, unit) in metrics.items()],
    }
    described = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}
    # Logging would put a prefix before the line.
    print(json.dumps({"_aws": described, **dimensions, **values}), flush=True)


@cache
def _prober() -> Prober:
    return Prober(os.environ)


def handler(_event: object, context: Any) -> None:
    """Probes every endpoint once."""
    _prober().run(context.get_remaining_time_in_millis() / 1000)
