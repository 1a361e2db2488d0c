"""Whether the endpoints answer, and with the bake that is deployed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Final

from front_door.answers import HealthLine, HealthReport, read_info
from front_door.aws import AWS_ERRORS
from front_door.endpoints import Endpoints, reason_of
from front_door.environment import Endpoint, StageParameters
from front_door.time_budget import TimeBudget
from rest.errors import ApiError

_PAYLOAD: Final = b'{"mode":"info"}'
_MOST_SECONDS: Final = 5


def check_health(
    endpoints: Endpoints, parameters: StageParameters, budget: TimeBudget
) -> HealthReport:
    """A line for each endpoint, all asked at once, within five seconds.

    Raises ApiError (model_unavailable, or serving_off), with the same lines, unless one of them
    serves the deployed bake.
    """
    bake_id = parameters.deployment().bake_id
    seconds = min(_MOST_SECONDS, budget.attempt_seconds(others_left=0) or 1)

    def line(endpoint: Endpoint) -> HealthLine:
        return _line(endpoints, endpoint, bake_id, seconds)

    with budget.waiting(), ThreadPoolExecutor(len(endpoints.deployed)) as threads:
        lines = list(threads.map(line, endpoints.deployed))
    report: HealthReport = {"bake_id": bake_id, "endpoints": lines}
    statuses = {line["status"] for line in lines}
    if "ok" not in statuses:
        if "not_found" in statuses and parameters.is_off():
            raise parameters.refusal(report)
        raise ApiError(
            "model_unavailable", "No endpoint answers from the deployed bake.", details=report
        )
    return report


def _line(endpoints: Endpoints, endpoint: Endpoint, bake_id: str, seconds: float) -> HealthLine:
    name = endpoint.instance_type
    try:
        found = read_info(endpoints.invoke(endpoint, _PAYLOAD, seconds))["bake_id"]
    except AWS_ERRORS as error:
        try:
            return {"instance_type": name, "status": reason_of(error)}
        except ApiError:  # a model without mode `info` is not ours
            return {"instance_type": name, "status": "model_error"}
    status: Final = "ok" if found == bake_id else "other_bake"
    return {"instance_type": name, "status": status, "bake_id": found}
