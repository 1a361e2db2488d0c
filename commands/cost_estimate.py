"""What templates cost: by the hour while endpoints run, by the month in any case, and by query."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from stage.prices import Prices

HOURS_A_MONTH = 730
_GB = 1e9

Template = Mapping[str, Any]


@dataclass(frozen=True)
class EndpointCost:
    """One endpoint: how many instances there are at least and at most, and what one costs an hour
    (None: the price table does not know the type)."""

    name: str
    instance_type: str
    least: int
    most: int
    instance_hour: float | None

    @property
    def hour(self) -> float:
        """With the fewest instances."""
        return self.least * (self.instance_hour or 0)

    @property
    def hour_at_most(self) -> float:
        return self.most * (self.instance_hour or 0)


@dataclass(frozen=True)
class Estimate:
    """What a stage costs.

    month_fixed: keys, alarms, dashboards: whether endpoints run or not.
    million_queries: beyond the endpoints' hours.
    """

    prices: Prices
    endpoints: tuple[EndpointCost, ...]
    month_fixed: float
    million_queries: float

    @property
    def hour(self) -> float:
        """Idle: the fewest instances, nothing asked."""
        return sum(e.hour for e in self.endpoints) + self.month_fixed / HOURS_A_MONTH

    @property
    def hour_at_most(self) -> float:
        """With as many instances as scaling may start."""
        return sum(e.hour_at_most for e in self.endpoints) + self.month_fixed / HOURS_A_MONTH

    @property
    def unpriced(self) -> list[str]:
        """Instance types without a price: the estimate lacks them."""
        return sorted({e.instance_type for e in self.endpoints if e.instance_hour is None})


def estimate(templates: Iterable[Template], prices: Prices, *, serving: bool = True) -> Estimate:
    """What the stacks of these templates cost; `serving` is false while switched off."""
    resources: dict[str, Any] = {}
    for number, template in enumerate(templates):
        # Logical ids are unique within a stack only.
        resources |= {f"{number}/{name}": r for name, r in template.get("Resources", {}).items()}
    month = sum(prices.resource_month.get(r["Type"], 0) for r in resources.values())
    return Estimate(
        prices,
        tuple(_endpoints(resources, prices)) if serving else (),
        month,
        _million_queries(resources, prices),
    )


def _endpoints(resources: Mapping[str, Any], prices: Prices) -> Iterable[EndpointCost]:
    for key, resource in resources.items():
        if resource["Type"] != "AWS::SageMaker::Endpoint":
            continue
        stack, _, logical_id = key.partition("/")
        properties = resource["Properties"]
        configuration_id = properties["EndpointConfigName"]["Fn::GetAtt"][0]
        configuration = resources[f"{stack}/{configuration_id}"]["Properties"]
        for variant in configuration["ProductionVariants"]:
            instance_type, count = variant["InstanceType"], int(variant["InitialInstanceCount"])
            least, most = _bounds(resources, logical_id, properties["EndpointName"]) or (
                count,
                count,
            )
            price = prices.instance_hour.get(instance_type)
            yield EndpointCost(properties["EndpointName"], instance_type, least, most, price)


def _bounds(
    resources: Mapping[str, Any], logical_id: str, endpoint_name: str
) -> tuple[int, int] | None:
    """Least and most instances that the endpoint's scalable target allows, where it has one."""
    for resource in resources.values():
        if resource["Type"] == "AWS::ApplicationAutoScaling::ScalableTarget":
            properties = resource["Properties"]
            target = json.dumps(properties["ResourceId"])
            if f'"{logical_id}"' in target or f"endpoint/{endpoint_name}/" in target:
                return int(properties["MinCapacity"]), int(properties["MaxCapacity"])
    return None


def _million_queries(resources: Mapping[str, Any], prices: Prices) -> float:
    """API Gateway, the front door's function, logs, traces and the endpoint's data; 0 where there
    is no front door."""
    memory_mb = max((_front_door_memory(r) for r in resources.values()), default=0)
    if not memory_mb:
        return 0
    query, usage = prices.query, prices.query.usage
    gb_seconds = 1e6 * usage.lambda_milliseconds / 1000 * memory_mb / 1024
    return (
        query.api_gateway_per_million
        + query.lambda_per_million
        + query.lambda_per_gb_second * gb_seconds
        + query.logs_per_gb * 1e6 * usage.log_bytes / _GB
        + query.traces_per_million * usage.traced_share
        + query.endpoint_data_per_gb * 1e6 * usage.payload_bytes / _GB
    )


def _front_door_memory(resource: Mapping[str, Any]) -> int:
    """Memory in MB of the function that asks the endpoints; 0 for anything else."""
    properties = resource.get("Properties", {})
    if resource["Type"] != "AWS::Lambda::Function":
        return 0
    variables = properties.get("Environment", {}).get("Variables", {})
    return int(properties["MemorySize"]) if "TIME_BUDGET_SECONDS" in variables else 0
