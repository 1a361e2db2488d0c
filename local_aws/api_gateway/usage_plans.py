"""API keys, usage plans and throttling."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from local_aws import moto_adapter
from local_aws.api_gateway.deployment import Route
from local_aws.api_gateway.errors import GatewayError
from local_aws.api_gateway.request import ApiRequest
from local_aws.moto_adapter import DeployedStage


class TokenBucket:
    """Lets `burst` requests through at once and `rate` a second in the long run."""

    def __init__(self, rate: float, burst: float) -> None:
        self.limits = (rate, burst)
        self._tokens = burst
        self._at = time.monotonic()

    def take(self) -> bool:
        """Takes a token; False when there is none."""
        rate, burst = self.limits
        now = time.monotonic()
        self._tokens = min(burst, self._tokens + (now - self._at) * rate)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class UsageLimits:
    """Counts requests against the limits of stages and usage plans."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._buckets: dict[tuple[str, ...], TokenBucket] = {}
        self._counts: dict[tuple[str, ...], tuple[str, int]] = {}

    def check_key(self, request: ApiRequest, stage: DeployedStage, route: Route) -> None:
        """Admits a request to a method that requires an API key.

        Raises:
            GatewayError: INVALID_API_KEY, THROTTLED or QUOTA_EXCEEDED.
        """
        value = request.headers.get("X-Api-Key", "")
        key, plans = moto_adapter.usage_plans_of_key(stage.region, value)
        plan, api_stage = _plan_for(plans, stage)
        if key is None or not key.get("enabled") or plan is None:
            raise GatewayError("INVALID_API_KEY")
        request.context |= {"identity.apiKey": value, "identity.apiKeyId": key["id"]}
        method = f"{route.resource_path}/{route.method['httpMethod']}"
        throttle = (api_stage.get("throttle") or {}).get(method)
        scope = (plan["id"], key["id"])
        if throttle:
            self._throttle((*scope, stage.api_id, stage.name, method), throttle)
        else:
            self._throttle(scope, plan.get("throttle") or {})
        if plan.get("quota"):
            self._count(scope, plan["quota"])

    def check_stage(self, stage: DeployedStage, route: Route) -> None:
        """Admits a request by the stage's method settings.

        Raises:
            GatewayError: THROTTLED.
        """
        method = route.method["httpMethod"]
        path = route.resource_path.lstrip("/")
        escaped = path.replace("/", "~1")
        # moto keeps the name as the change operation wrote it: "/search" is "~1search".
        for name in (f"{path}/{method}", f"{escaped}/{method}", f"~1{escaped}/{method}", "*/*"):
            settings = stage.method_settings.get(name)
            if settings:
                limits = {
                    "rateLimit": settings.get("throttlingRateLimit"),
                    "burstLimit": settings.get("throttlingBurstLimit"),
                }
                self._throttle((stage.api_id, stage.name, route.resource_path, method), limits)
                return

    def _throttle(self, scope: tuple[str, ...], limits: dict[str, Any]) -> None:
        rate, burst = limits.get("rateLimit"), limits.get("burstLimit")
        # AWS takes -1 for "no limit of its own".
        if rate is None or burst is None or float(rate) < 0 or float(burst) < 0:
            return
        wanted = (float(rate), float(burst))
        with self._lock:
            bucket = self._buckets.get(scope)
            if bucket is None or bucket.limits != wanted:
                bucket = self._buckets[scope] = TokenBucket(*wanted)
            admitted = bucket.take()
        if not admitted:
            raise GatewayError("THROTTLED")

    def _count(self, scope: tuple[str, ...], quota: dict[str, Any]) -> None:
        period = _period(str(quota.get("period", "DAY")))
        with self._lock:
            known, count = self._counts.get(scope, (period, 0))
            count = count if known == period else 0
            if count >= int(quota["limit"]):
                raise GatewayError("QUOTA_EXCEEDED")
            self._counts[scope] = (period, count + 1)


def _plan_for(
    plans: list[dict[str, Any]], stage: DeployedStage
) -> tuple[dict[str, Any] | None, dict[str, Any]]:
    for plan in plans:
        for entry in plan.get("apiStages") or []:
            if entry.get("apiId") == stage.api_id and entry.get("stage") == stage.name:
                return plan, entry
    return None, {}


def _period(kind: str) -> str:
    # Periods begin at midnight UTC; a quota's offset is not looked at.
    today = datetime.now(UTC).date()
    if kind == "WEEK":
        return str(today - timedelta(days=today.weekday()))
    return str(today.replace(day=1)) if kind == "MONTH" else str(today)
