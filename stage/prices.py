"""What things cost, as `prices.toml` and a stage's own `[prices]` say."""

from __future__ import annotations

import datetime
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, PositiveFloat

from stage.settings import Settings, SettingsError

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


class VectorUsage(_Prices):
    """What a vector takes besides its numbers, on average, and how long a function waits for a
    query."""

    key_bytes: PositiveFloat
    filterable_bytes: PositiveFloat
    text_bytes: PositiveFloat
    lambda_milliseconds: PositiveFloat


class VectorPrices(_Prices):
    """What S3 Vectors costs; what a query processes, by the number of vectors in the index."""

    storage_gb_month: PositiveFloat
    put_per_gb: PositiveFloat
    put_least_bytes: PositiveFloat
    query_per_million: PositiveFloat
    processed_per_tb_to_100k: PositiveFloat
    processed_per_tb_to_10m: PositiveFloat
    processed_per_tb_beyond: PositiveFloat
    usage: VectorUsage

    def stored_gb(self, vectors: int, dimension: int) -> float:
        """What an index of our own takes: numbers, key, metadata and the views of its means."""
        return (
            vectors
            * (self._searched_bytes(dimension) + self.usage.text_bytes + 3 * dimension)
            / 1e9
        )

    def loading(self, vectors: int, dimension: int, *, a_call: int = 500) -> float:
        """What it costs to put vectors once."""
        calls = -(-vectors // a_call)
        least = calls * self.put_least_bytes / 1e9
        return self.put_per_gb * max(least, self.stored_gb(vectors, dimension))

    def million_queries(self, vectors: int, dimension: int) -> float:
        """What a million queries of an index cost."""
        tiers = (
            (0, 100_000, self.processed_per_tb_to_100k),
            (100_000, 10_000_000, self.processed_per_tb_to_10m),
            (10_000_000, vectors, self.processed_per_tb_beyond),
        )
        a_query = sum(
            price * max(0, min(vectors, end) - start) * self._searched_bytes(dimension) / 1e12
            for start, end, price in tiers
        )
        return self.query_per_million + 1e6 * a_query

    def _searched_bytes(self, dimension: int) -> float:
        return 4 * dimension + self.usage.key_bytes + self.usage.filterable_bytes


class BedrockPrices(_Prices):
    """What embeddings by Bedrock cost, and how many tokens a query has."""

    embedding_per_million_tokens: PositiveFloat
    tokens_a_query: PositiveFloat


class OpenSearchPrices(_Prices):
    """What OpenSearch Serverless costs, and what one of its compute units is taken to do."""

    ocu_hour: PositiveFloat
    least_ocus: PositiveFloat
    storage_gb_month: PositiveFloat
    vector_gb_an_ocu: PositiveFloat
    copies: PositiveFloat
    queries_a_second_an_ocu: PositiveFloat


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
    s3_vectors: VectorPrices
    bedrock: BedrockPrices
    opensearch: OpenSearchPrices

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
    """The price table with the stage's own prices: of instance types, and figures by their paths.

    Raises:
        SettingsError: The table has no such figure.
    """
    table = _price_table().model_dump()
    for name, price in settings.prices.items():
        if name.startswith("ml."):
            table["instance_hour"][name] = price
            continue
        *path, last = name.split(".")
        place: Any = table
        for part in path:
            place = place.get(part) if isinstance(place, dict) else None
        if not isinstance(place, dict) or not isinstance(place.get(last), int | float):
            raise SettingsError(
                f"prices: {name!r} is neither an instance type (ml.…) nor a figure of prices.toml,"
                ' such as "s3_vectors.query_per_million"'
            )
        place[last] = price
    return Prices.model_validate(table)
