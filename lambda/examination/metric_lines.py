"""Metrics as lines of a function's log, from which CloudWatch makes them.

The embedded metric format: no call to CloudWatch, so nothing to wait for or to be throttled by.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence

NAMESPACE = "FaqSearch"

# Values of one metric that a line may hold.
_MOST_VALUES = 100


def print_metrics(
    dimensions: Mapping[str, str], metrics: Mapping[str, tuple[float | Sequence[float], str]]
) -> None:
    """Print one line.

    Args:
        dimensions: all of them together name the metric.
        metrics: name -> (a value or several, unit), e.g. ("Latency", ([12.5, 13], "Milliseconds")).
    """
    values = {
        name: list(value)[:_MOST_VALUES] if isinstance(value, Sequence) else value
        for name, (value, _) in metrics.items()
    }
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": [list(dimensions)],
        "Metrics": [{"Name": name, "Unit": unit} for name, (_, unit) in metrics.items()],
    }
    described = {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [directive]}
    # Not through logging, which would put a prefix before it.
    print(json.dumps({"_aws": described, **dimensions, **values}), flush=True)
