"""What things cost, as `prices.toml` and a stage's own `[prices]` say."""

from __future__ import annotations

import datetime
import tomllib
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, PositiveFloat

from stage.settings import Settings

PRICES_FILE = Path(__file__).parent.parent / "prices.toml"


class _Prices(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Usage(_Prices):
    """What one query uses: time of the front door's function and of the authorizer, bytes logged,
    bytes to and from the endpoint, the share of requests that X-Ray records, and the bytes that a
    private stage's flow logs have of it."""

    lambda_milliseconds: PositiveFloat
    authorizer_milliseconds: PositiveFloat
    log_bytes: PositiveFloat
    payload_bytes: PositiveFloat
    traced_share: PositiveFloat
    flow_log_bytes: PositiveFloat


class QueryPrices(_Prices):
    """What a query's parts cost."""

    api_gateway_per_million: PositiveFloat
    lambda_per_million: PositiveFloat
    lambda_per_gb_second: PositiveFloat
    logs_per_gb: PositiveFloat
    traces_per_million: PositiveFloat
    endpoint_data_per_gb: PositiveFloat
    waf_per_million: PositiveFloat
    usage: Usage


class NetworkPrices(_Prices):
    """What a private network costs: interface endpoints by zone and data, flow logs by data."""

    endpoint_zone_hour: PositiveFloat
    endpoint_data_per_gb: PositiveFloat
    flow_logs_per_gb: PositiveFloat


class Prices(_Prices):
    """A dated price table.

    instance_hour: instance type -> price of an hour. resource_month: CloudFormation type -> price
    of a month. waf_rule_month: of each rule or rule group of a web ACL. snapshot_gb_second: of a
    function's snapshot, by its memory.
    """

    as_of: datetime.date
    currency: str
    snapshot_gb_second: PositiveFloat
    instance_hour: dict[str, float]
    resource_month: dict[str, float]
    waf_rule_month: PositiveFloat
    network: NetworkPrices
    query: QueryPrices

    def hour_of(self, instance_type: str) -> dict[str, str | float] | None:
        """What an hour of an instance costs, as the API says it; None if it is not known."""
        amount = self.instance_hour.get(instance_type)
        if amount is None:
            return None
        return {"amount": amount, "currency": self.currency, "as_of": self.as_of.isoformat()}


@cache
def _price_table() -> Prices:
    return Prices.model_validate(tomllib.loads(PRICES_FILE.read_text(encoding="utf-8")))


def prices_for(settings: Settings) -> Prices:
    """The price table with the stage's own prices of instance types."""
    table = _price_table()
    return table.model_copy(update={"instance_hour": {**table.instance_hour, **settings.prices}})
