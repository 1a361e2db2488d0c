"""API keys, quotas and throttling."""

from __future__ import annotations

import threading
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from local_aws import moto_adapter
from local_aws.api_gateway.deployment import Route
from local_aws.api_gateway.gateway_responses import GatewayError
from local_aws.api_gateway.request import ApiRequest
from local_aws.moto_adapter import DeployedStage


class TokenBucket:
    """Admits `burst` requests at once and `rate` a second in the long run."""

    def __init__(self, rate: float, burst: float) -> None:
        self.limits = (rate, burst)
        self._tokens = burst
        self._at = time.monotonic()

    def take(self) -> bool:
        """Takes a token if there is one."""
        rate, burst = self.limits
        now = time.monotonic()
        self._tokens = min(burst, self._tokens + (now - self._at) * rate)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class UsageLimits:
    """Enforces API keys, and the throttling and quotas of stages and usage plans.

    A plan's limits for a method hold beside the plan's own, which is no kinder than either reading
    of AWS's documentation (unverified). Quotas count what was not throttled, in UTC; weeks begin
    on Monday (unverified).
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._buckets: dict[tuple[str, ...], TokenBucket] = {}
        self._counts: Counter[tuple[str, ...]] = Counter()

    def check_key(
        self, request: ApiRequest, stage: DeployedStage, route: Route, value: str
    ) -> None:
        """Admits a request to a method that requires an API key, given the key's value.

        Raises:
            GatewayError: INVALID_API_KEY, THROTTLED or QUOTA_EXCEEDED.
        """
        key, plans = moto_adapter.usage_plans_of_key(stage.region, value)
        opens = {"apiId": stage.api_id, "stage": stage.name}
        found = next(
            (
                (plan, entry)
                for plan in plans
                for entry in plan.get("apiStages") or []
                if opens.items() <= entry.items()
            ),
            None,
        )
        if key is None or not key.get("enabled") or found is None:
            raise GatewayError("INVALID_API_KEY")
        plan, covered = found
        request.context |= {"identity.apiKey": value, "identity.apiKeyId": key["id"]}
        name = f"{route.resource_path}/{route.method['httpMethod']}"
        of_method = (covered.get("throttle") or {}).get(name) or {}
        self._throttle((plan["id"], key["id"], *opens.values(), name), of_method)
        self._throttle((plan["id"], key["id"]), plan.get("throttle") or {})
        self._count((plan["id"], key["id"]), plan.get("quota") or {})

    def check_stage(self, stage: DeployedStage, route: Route) -> None:
        """Admits a request by the stage's method settings.

        Raises:
            GatewayError: THROTTLED.
        """
        method = route.method["httpMethod"]
        path = route.resource_path.lstrip("/")
        escaped = path.replace("/", "~1")
        # moto keeps names as patch operations write them: "/search" is "~1search".
        for name in (f"{path}/{method}", f"{escaped}/{method}", f"~1{escaped}/{method}", "*/*"):
            settings = stage.method_settings.get(name)
            if settings:
                limits = {
                    "rateLimit": settings.get("throttlingRateLimit"),
                    "burstLimit": settings.get("throttlingBurstLimit"),
                }
                self._throttle((stage.api_id, stage.name, route.resource_path, method), limits)
                return

    def _count(self, scope: tuple[str, ...], quota: dict[str, Any]) -> None:
        if not quota:
            return
        now = datetime.now(UTC)
        period = {
            "DAY": now.strftime("%Y-%m-%d"),
            "WEEK": now.strftime("%G-W%V"),
            "MONTH": now.strftime("%Y-%m"),
        }[quota["period"]]
        with self._lock:
            used = self._counts[*scope, period]
            if used >= int(quota["limit"]) - int(quota.get("offset") or 0):
                raise GatewayError("QUOTA_EXCEEDED")
            self._counts[*scope, period] = used + 1

    def _throttle(self, scope: tuple[str, ...], limits: dict[str, Any]) -> None:
        rate, burst = limits.get("rateLimit"), limits.get("burstLimit")
        # -1 means no limit.
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
