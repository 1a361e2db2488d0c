"""Asks the index of S3 Vectors that holds the corpus, where the stage has that engine."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from aws_lambda_powertools import Logger
from botocore.exceptions import ClientError, ConnectTimeoutError, ReadTimeoutError

from contract.vector_index import CATEGORY, VectorIndex
from front_door.answers import EndpointHit, QueryVectors
from front_door.aws import AWS_ERRORS, Aws
from front_door.index_scores import hits
from front_door.time_budget import TimeBudget
from rest.errors import ApiError

RESERVED_SECONDS: Final = 5
"""Kept for the index while the endpoint embeds the queries."""
_MOST_SECONDS: Final = 10
# As many connections as botocore keeps.
_AT_ONCE: Final = 10
_THROTTLED: Final = frozenset({"TooManyRequestsException", "ThrottlingException"})

logger = Logger(child=True)


def search_index(
    aws: Aws,
    index: VectorIndex,
    embedded: QueryVectors,
    categories: Sequence[str] | None,
    budget: TimeBudget,
    *,
    lexical: bool,
) -> list[list[EndpointHit]]:
    """What the index finds for each query, best first; the queries are asked side by side.

    Nothing is repeated. Raises ApiError: throttled, time_out or index_unavailable.
    """
    seconds = min(_MOST_SECONDS, budget.attempt_seconds(others_left=0) or 0)
    if not seconds:
        raise _late()
    chosen = filter_of(categories)
    end = budget.elapsed() + seconds

    def ask(number: int) -> list[EndpointHit]:
        vector = embedded["vectors"][number]
        found = aws.query_vectors(index, vector, chosen, max(0, end - budget.elapsed()))
        return hits(found, vector, embedded["terms"][number], lexical=lexical)

    queries = len(embedded["vectors"])
    with budget.waiting_for_index(), ThreadPoolExecutor(min(_AT_ONCE, queries)) as threads:
        try:
            return list(threads.map(ask, range(queries)))
        except AWS_ERRORS as error:
            threads.shutdown(wait=False, cancel_futures=True)
            logger.warning("index failed", index_id=index.index_id, error=type(error).__name__)
            raise _api_error(error) from error


def filter_of(categories: Sequence[str] | None) -> dict[str, object] | None:
    """QueryVectors' filter for entries in one of the categories."""
    if categories is None:
        return None
    each: list[dict[str, object]] = [{CATEGORY: {"$eq": category}} for category in categories]
    return each[0] if len(each) == 1 else {"$or": each}


def _api_error(error: Exception) -> ApiError:
    if isinstance(error, TimeoutError | ConnectTimeoutError | ReadTimeoutError):
        return _late()
    code = error.response["Error"]["Code"] if isinstance(error, ClientError) else ""
    if code in _THROTTLED:
        return ApiError("throttled", "The corpus's index is busy. Try again in a moment.")
    why = f" ({code})" if code else ""
    return ApiError(
        "index_unavailable", f"The corpus's index could not answer{why}. Try again later."
    )


def _late() -> ApiError:
    return ApiError("time_out", "The corpus's index did not answer in time. Send fewer queries.")
