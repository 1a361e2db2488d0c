"""What a million answers cost at some rates: a stage, and what others would take in its place."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

if TYPE_CHECKING:
    from commands.cost import Estimate
    from stage.prices import Prices
    from stage.settings import Settings

RATES = (1.0, 10.0, 100.0)
HOURS_A_MONTH = 730
_MILLIONS_A_MONTH = HOURS_A_MONTH * 3600 / 1e6  # of answers, at one a second
# AWS's walk-through: milliseconds for a request of nine sentences, one after the other.
PUBLISHED = Path(__file__).parent.parent / "bench" / "published_latency.csv"
_SENTENCES = 9
# How busy instances are planned to be.
_BUSY = 0.7
_HIGHEST_RATE = 1000.0


def published_rates(model_id: str, instance_types: list[str]) -> dict[str, float]:
    """Sentences a second of one instance, by type, as far as AWS's walk-through lets one say.

    All sizes of ml.g5 with one GPU have the same.
    """
    with PUBLISHED.open(encoding="utf-8") as lines:
        rows = [row for row in csv.DictReader(lines) if model_id.endswith(row["model"])]
    if not rows:
        return {}
    row = max(rows, key=lambda row: len(row["model"]))
    found = {
        "ml.c6i.xlarge": _SENTENCES * 1000 / float(row["embed c6i.xlarge"]),
        "ml.g5": _SENTENCES * 1000 / float(row["embed g5.2xlarge"]),
    }
    keys = {each: "ml.g5" if each.startswith("ml.g5.") else each for each in instance_types}
    return {each: found[key] for each, key in keys.items() if key in found}


@dataclass(frozen=True)
class Answers:
    """What answers cost by a stage.

    Args:
        rates: Answers a second of one instance, by type.
        vectors: In the index, or that the endpoint holds.
        has_vector_index: Whether they are in S3 Vectors.
    """

    stage: Estimate
    rates: dict[str, float]
    vectors: int
    dimension: int
    has_vector_index: bool

    @property
    def _prices(self) -> Prices:
        return self.stage.prices

    def instances(self, rate: float) -> int | None:
        """How many the first endpoint, which gets all requests, needs; None if nobody knows."""
        if not self.stage.endpoints:
            return None
        first = self.stage.endpoints[0]
        one = self.rates.get(first.instance_type)
        return None if one is None else max(first.least, math.ceil(rate / (one * _BUSY)))

    def stage_month(self, rate: float) -> float | None:
        """The stage's own month."""
        count = self.instances(rate)
        if count is None or self.stage.unpriced:
            return None
        first, *others = self.stage.endpoints
        hours = count * (first.instance_hour or 0) + sum(each.hour for each in others)
        month = hours * HOURS_A_MONTH + self.stage.month_fixed
        million = self.stage.million_queries
        if self.has_vector_index:
            month += self.index_month
            million += self._index_million
        return month + million * rate * _MILLIONS_A_MONTH

    @property
    def _index_million(self) -> float:
        """A million queries of S3 Vectors, for which the front door's function waits."""
        prices = self._prices.s3_vectors
        seconds = 1e6 * prices.usage.lambda_milliseconds / 1000
        waiting = seconds * self.stage.front_door_gb * self._prices.query.lambda_per_gb_second
        return prices.million_queries(self.vectors, self.dimension) + waiting

    @property
    def index_month(self) -> float:
        """What an index of S3 Vectors costs a month, unasked."""
        prices = self._prices.s3_vectors
        return prices.storage_gb_month * prices.stored_gb(self.vectors, self.dimension)

    def opensearch_month(self, rate: float) -> float:
        """With embeddings by Bedrock, in OpenSearch Serverless."""
        prices = self._prices.opensearch
        # HNSW with 16 links, by OpenSearch's own rule of thumb.
        gigabytes = 1.1 * (4 * self.dimension + 8 * 16) * self.vectors / 1e9
        searching = max(
            gigabytes * prices.copies / prices.vector_gb_an_ocu,
            rate / prices.queries_a_second_an_ocu,
        )
        units = max(prices.least_ocus, math.ceil(searching) + prices.least_ocus / 2)
        stored = self._prices.s3_vectors.stored_gb(self.vectors, self.dimension)
        month = units * prices.ocu_hour * HOURS_A_MONTH + prices.storage_gb_month * stored
        return month + self._bedrock_million * rate * _MILLIONS_A_MONTH

    def s3_vectors_month(self, rate: float) -> float:
        """With embeddings by Bedrock, in S3 Vectors."""
        million = self._bedrock_million + self._index_million
        return self.index_month + million * rate * _MILLIONS_A_MONTH

    @property
    def _bedrock_million(self) -> float:
        """A million queries of the same front door, whose questions Bedrock embeds."""
        query, bedrock = self._prices.query, self._prices.bedrock
        endpoint = query.endpoint_data_per_gb * 1e6 * query.usage.payload_bytes / 1e9
        tokens = bedrock.embedding_per_million_tokens * bedrock.tokens_a_query
        return self.stage.million_queries - endpoint + tokens

    def cheaper(self, other: Callable[[float], float]) -> tuple[float, float] | None:
        """The lowest and the highest rate, up to 1,000 a second, at which the stage costs less."""
        found = [
            rate
            for rate in _grid()
            if (month := self.stage_month(rate)) is not None and month < other(rate)
        ]
        return (found[0], found[-1]) if found else None

    def rows(self) -> Iterator[tuple[float, int | None, float | None, float, float]]:
        """Rate, instances, and dollars a million answers: the stage, OpenSearch, S3 Vectors."""
        for rate in RATES:
            millions = rate * _MILLIONS_A_MONTH
            month = self.stage_month(rate)
            yield (
                rate,
                self.instances(rate),
                None if month is None else month / millions,
                self.opensearch_month(rate) / millions,
                self.s3_vectors_month(rate) / millions,
            )


def _two_digits(rate: float) -> str:
    return f"{float(f'{rate:.2g}'):g}"


def _grid() -> Iterator[float]:
    """Rates from 0.01 to 1,000 a second, each 2 % above the one before."""
    rate = 0.01
    while rate <= _HIGHEST_RATE:
        yield rate
        rate *= 1.02


def answers_of(settings: Settings, found: Estimate, entries: int | None) -> Answers:
    """What answers of a stage cost with so many entries, by default its corpus's."""
    types = [each.instance_type for each in found.endpoints]
    return Answers(
        found,
        published_rates(settings.model.id, types),
        entries or settings.corpus_entries or 10_000,
        settings.jumpstart_model.dimension,
        settings.search.has_vector_index,
    )


def table(answers: Answers) -> Table:
    """The rates and what a million answers cost at each."""
    shown = Table(title=f"A million answers, {answers.vectors:,} entries, USD")
    headings = ("requests a second", "instances", "this stage")
    for heading in (*headings, "Bedrock + OpenSearch", "Bedrock + S3 Vectors"):
        shown.add_column(heading, justify="right")
    for rate, instances, *amounts in answers.rows():
        cells = ["?" if each is None else f"{each:,.2f}" for each in amounts]
        shown.add_row(f"{rate:g}", "?" if instances is None else str(instances), *cells)
    return shown


def notes(answers: Answers) -> str:
    """What the table rests on, and where the stage becomes the cheaper one."""
    prices = answers.stage.prices.s3_vectors
    lines = [
        "Instances: from the latencies that AWS's walk-through publishes for nine sentences, at"
        f" {_BUSY:.0%} load. The alternatives: the same front door, other models' embeddings and"
        " other rankings; the prices and what they assume are third parties' (prices.toml)."
    ]
    for name, other in (
        ("Bedrock + OpenSearch", answers.opensearch_month),
        ("Bedrock + S3 Vectors", answers.s3_vectors_month),
    ):
        rates = answers.cheaper(other)
        if rates is None:
            lines.append(f"{name} is cheaper up to {_HIGHEST_RATE:,.0f} requests a second.")
        else:
            end = f" to {_two_digits(rates[1])}" if rates[1] < 0.98 * _HIGHEST_RATE else ""
            lines.append(
                f"Cheaper than {name} from {_two_digits(rates[0])}{end} requests a second."
            )
    if not answers.has_vector_index:
        lines.append(
            'An endpoint holds what its memory does; beyond, search.engine = "s3_vectors".'
        )
    if answers.has_vector_index:
        loading = prices.loading(answers.vectors, answers.dimension)
        million = prices.million_queries(answers.vectors, answers.dimension)
        lines.append(
            f"Of this, the index: {answers.index_month:,.2f} a month, {million:,.2f} a million"
            f" queries; loading it once {loading:,.2f}, besides the transform."
        )
    return "\n".join(lines)


def as_json(answers: Answers) -> dict[str, Any]:
    """The table as JSON; `index` is of S3 Vectors, null without it."""
    prices, of = answers.stage.prices.s3_vectors, (answers.vectors, answers.dimension)
    return {
        "entries": answers.vectors,
        "index": {
            "month": round(answers.index_month, 4),
            "million_queries": round(prices.million_queries(*of), 4),
            "loading_once": round(prices.loading(*of), 4),
        }
        if answers.has_vector_index
        else None,
        "rates": [
            {
                "requests_a_second": rate,
                "instances": instances,
                "stage": None if stage is None else round(stage, 4),
                "bedrock_opensearch": round(opensearch, 4),
                "bedrock_s3_vectors": round(s3_vectors, 4),
            }
            for rate, instances, stage, opensearch, s3_vectors in answers.rows()
        ],
        "cheaper_than_bedrock_opensearch": answers.cheaper(answers.opensearch_month),
        "cheaper_than_bedrock_s3_vectors": answers.cheaper(answers.s3_vectors_month),
    }
