"""Whether the endpoints answer, and with the bake that is deployed."""

from __future__ import annotations

from typing import Final

from pydantic_core import from_json

from front_door.answers import HealthLine, HealthReport
from front_door.aws_calls import AwsError
from front_door.endpoint_failures import reason_of
from front_door.endpoints import Endpoints
from front_door.environment import Endpoint
from front_door.serving import ServingSwitch
from front_door.time_budget import TimeBudget
from rest.errors import ApiError

_PAYLOAD: Final = b'{"mode":"info"}'
_MOST_SECONDS: Final = 5


def check_health(
    endpoints: Endpoints, switch: ServingSwitch, bake_id: str, budget: TimeBudget
) -> HealthReport:
    """A line for each endpoint, all asked at once, within five seconds.

    Raises ApiError (model_unavailable, or serving_off), with the same lines, unless one of them
    serves `bake_id`.
    """
    # Imported here: only this route needs threads, and every cold start would pay for them.
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

    seconds = min(_MOST_SECONDS, budget.attempt_seconds(others_left=0) or 1)

    def line(endpoint: Endpoint) -> HealthLine:
        return _line(endpoints, endpoint, bake_id, seconds)

    with budget.waiting(), ThreadPoolExecutor(len(endpoints.deployed)) as threads:
        lines = list(threads.map(line, endpoints.deployed))
    report: HealthReport = {"bake_id": bake_id, "endpoints": lines}
    statuses = {line["status"] for line in lines}
    if "ok" not in statuses:
        if "not_found" in statuses and switch.is_off():
            raise switch.refusal(report)
        raise ApiError(
            "model_unavailable", "No endpoint answers from the deployed bake.", details=report
        )
    return report


def _line(endpoints: Endpoints, endpoint: Endpoint, bake_id: str, seconds: float) -> HealthLine:
    name = endpoint.instance_type
    try:
        found = from_json(endpoints.invoke(endpoint, _PAYLOAD, seconds))["bake_id"]
    except AwsError as error:
        try:
            return {"instance_type": name, "status": reason_of(error)}
        except ApiError:  # a model that does not know `info` is not ours
            return {"instance_type": name, "status": "model_error"}
    except (ValueError, KeyError, TypeError):
        return {"instance_type": name, "status": "model_error"}
    return {
        "instance_type": name,
        "status": "ok" if found == bake_id else "other_bake",
        "bake_id": str(found),
    }
