"""Simulates building an index of S3 Vectors: `python -m bench.index_build --entries 10000000`.

Nothing runs but the arithmetic. What AWS publishes are the limits and, by third parties, the
prices; how fast an instance encodes follows from stage/capacity.py, and the rest is assumed and
can be set. The calls of the loaders are simulated one by one against the token bucket that the
local AWS limits writes with, with their waits after a refusal.
"""

from __future__ import annotations

import argparse
import heapq
import random
import sys
from dataclasses import dataclass
from typing import Final

from local_aws.s3_vectors.index import CALLS_A_SECOND, VECTORS_A_SECOND, Rate
from stage.capacity import REQUEST_SECONDS, max_tokens
from stage.prices import Prices, prices_for
from stage.settings import load_settings
from stage.tables import EndpointSettings

_PREFIX: Final = "huggingface-sentencesimilarity-"
# The hybrid ranking encodes question, answer and both.
_VIEWS: Final = 2
# A transform job's last files are few, and instances wait for one another.
_TRANSFORM_USE: Final = 0.9
_LONGEST_WAIT: Final = 5.0
# A function that loads: 1,769 MB is one whole processor.
_LOADER_GB: Final = 1.769


@dataclass(frozen=True)
class Plan:
    """What is built and how; times in seconds.

    Args:
        vectors_a_second: What the loaders together put at most.
    """

    entries: int
    model: str
    instance_type: str
    instances: int
    tokens_an_entry: int
    precision: str
    loaders: int
    vectors_a_second: float
    vectors_a_call: int
    call_seconds: float
    processor_seconds: float
    start_seconds: float
    seed: int = 0


@dataclass(frozen=True)
class Loaded:
    """What the loaders did."""

    seconds: float
    calls: int
    refused: int
    busy_seconds: float


def simulate_loading(plan: Plan) -> Loaded:
    """Event by event: each loader makes a call when its share of the rate lets it, as lambda/index
    does, after the time to prepare it; a refused call is repeated after a while."""
    now = 0.0
    calls, vectors = (Rate(rate, lambda: now) for rate in (CALLS_A_SECOND, VECTORS_A_SECOND))
    random_number = random.Random(plan.seed).random  # noqa: S311  not for secrets
    left, made, refused, ended = plan.entries, 0, 0, 0.0
    pause = plan.vectors_a_call * plan.loaders / plan.vectors_a_second
    # When it calls, loader, how often it has been refused. They start one after another.
    queue = [(plan.processor_seconds + each * 0.05, each, 0) for each in range(plan.loaders)]
    while left > 0:
        now, loader, attempts = heapq.heappop(queue)
        size = min(plan.vectors_a_call, left)
        if calls.refill() < 1 or vectors.refill() < size:
            refused += 1
            wait = 0.02 + min(_LONGEST_WAIT, 0.2 * 2**attempts) * random_number()
            heapq.heappush(queue, (now + wait, loader, attempts + 1))
            continue
        calls.take(1)
        vectors.take(size)
        left -= size
        made += 1
        ended = now + plan.call_seconds
        following = now + max(pause, plan.call_seconds + plan.processor_seconds)
        heapq.heappush(queue, (following, loader, 0))
    return Loaded(ended, made, refused, ended * plan.loaders)


@dataclass(frozen=True)
class Built:
    """Hours and dollars of a plan."""

    encoding_hours: float
    loading: Loaded
    tokens_a_second: float
    dollars: dict[str, float]
    stored_gb: float
    million_queries: float
    month: float

    @property
    def hours(self) -> float:
        """From the start of the transform job to the last vector."""
        return self.encoding_hours + self.loading.seconds / 3600


def simulate(plan: Plan) -> Built:
    """Raises `ValueError` where nobody knows how fast the instance encodes."""
    settings = load_settings("dev")
    prices: Prices = prices_for(settings)
    model = settings.lock.models[_PREFIX + plan.model]
    endpoint = EndpointSettings.model_validate({"instance_type": plan.instance_type})
    tokens = max_tokens(model, endpoint, plan.precision)
    hour = prices.instance_hour.get(plan.instance_type)
    if tokens is None or hour is None:
        raise ValueError(f"the speed or the price of {plan.instance_type} is unknown")
    rate = tokens / REQUEST_SECONDS
    seconds = (
        plan.entries * plan.tokens_an_entry * _VIEWS / (rate * plan.instances * _TRANSFORM_USE)
    )
    encoding = (plan.start_seconds + seconds) / 3600
    loading = simulate_loading(plan)
    vectors = prices.s3_vectors
    return Built(
        encoding,
        loading,
        rate,
        {
            "transform instances": encoding * plan.instances * hour,
            "PutVectors": vectors.loading(
                plan.entries, model.dimension, a_call=plan.vectors_a_call
            ),
            "loading functions": loading.busy_seconds
            * _LOADER_GB
            * prices.query.lambda_per_gb_second,
        },
        vectors.stored_gb(plan.entries, model.dimension),
        vectors.million_queries(plan.entries, model.dimension),
        vectors.storage_gb_month * vectors.stored_gb(plan.entries, model.dimension),
    )


def rows(plan: Plan, built: Built) -> list[tuple[str, str]]:
    """The result as names and values."""
    loaded = built.loading
    least = plan.entries / VECTORS_A_SECOND
    return [
        ("entries, one vector each", f"{plan.entries:,}"),
        ("model", plan.model),
        ("transform", f"{plan.instances} x {plan.instance_type}, {plan.precision}"),
        ("tokens a second and instance", f"{built.tokens_a_second:,.0f}"),
        ("hours: encoding", f"{built.encoding_hours:.1f}"),
        (
            "hours: loading",
            f"{loaded.seconds / 3600:.2f} (the limit alone: {least / 3600:.2f})",
        ),
        ("hours: together", f"{built.hours:.1f}"),
        ("PutVectors calls", f"{loaded.calls:,}, and {loaded.refused:,} refused (429)"),
        *((f"dollars: {name}", f"{amount:,.2f}") for name, amount in built.dollars.items()),
        ("dollars: building it", f"{sum(built.dollars.values()):,.2f}"),
        ("stored", f"{built.stored_gb:,.1f} GB, {built.month:,.2f} dollars a month"),
        ("dollars: a million queries", f"{built.million_queries:,.2f}, besides the endpoint"),
    ]


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="bench.index_build", description=__doc__)
    parser.add_argument("--entries", type=int, default=10_000_000)
    parser.add_argument("--model", default="all-MiniLM-L6-v2")
    parser.add_argument("--instance-type", default="ml.c6i.xlarge")
    parser.add_argument("--instances", type=int, default=10, help="of the transform job")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--tokens-an-entry", type=int, default=90)
    parser.add_argument("--loaders", type=int, default=8, help="functions that load at once")
    parser.add_argument("--vectors-a-second", type=float, default=2400, help="of all loaders")
    parser.add_argument("--vectors-a-call", type=int, default=500)
    parser.add_argument("--call-seconds", type=float, default=0.3, help="of a PutVectors")
    parser.add_argument(
        "--processor-seconds", type=float, default=1.0, help="of a loader, to make a call"
    )
    parser.add_argument("--start-seconds", type=float, default=480, help="until instances encode")
    plan = Plan(**vars(parser.parse_args()))
    try:
        built = simulate(plan)
    except ValueError as error:
        parser.error(str(error))
    sys.stdout.write("SIMULATED, from published limits, third parties' prices and assumptions\n")
    width = max(len(name) for name, _ in rows(plan, built))
    for name, value in rows(plan, built):
        sys.stdout.write(f"{name:<{width}}  {value}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
