"""The metrics that our own functions publish, for dashboards and alarms."""

from __future__ import annotations

from typing import Final

NAMESPACE: Final = "FaqSearch"

# Of a stage, from the front door. Counts, unless noted.
QUESTIONS: Final = "Questions"
UNANSWERED_QUESTIONS: Final = "UnansweredQuestions"
"""Questions whose best answer scored below `alarms.min_score`."""
QUESTIONS_NOT_KEPT: Final = "QuestionsNotKept"
"""Unanswered questions that should have been written to their log and were not."""
FAILED_OVER: Final = "FailedOver"
"""Endpoints that failed a request which another one then answered."""
SWITCHED_OFF: Final = "SwitchedOff"
"""Requests refused because the endpoints are switched off."""
MODEL_WAIT: Final = "ModelWait"
"""Milliseconds a request waited for endpoints."""

# Of a stage, from the probe.
CORPUS_AGE_DAYS: Final = "CorpusAgeDays"

# Of an endpoint, from the probe.
PROBE_FAILED: Final = "ProbeFailed"
"""0 or 1 each minute."""
PROBE_LATENCY: Final = "ProbeLatency"
"""In milliseconds."""


def stage_dimensions(stage: str) -> dict[str, str]:
    """The dimensions of a stage's metrics."""
    return {"Stage": stage}


def endpoint_dimensions(
    stage: str, endpoint_name: str, bake_id: str | None = None
) -> dict[str, str]:
    """The dimensions of an endpoint's metrics, or of those that concern one bake alone."""
    dimensions = {**stage_dimensions(stage), "EndpointName": endpoint_name}
    return dimensions if bake_id is None else {**dimensions, "BakeId": bake_id}
