"""One index of S3 Vectors: made, filled, counted and asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from contract.vector_index import index_configuration

# In as many pieces an index is listed at a time; the service allows 16.
_SEGMENTS = 8
_LIST_PAGE = 1_000
# Beyond its limits the service answers 429; this mode then also slows down by itself. Vectors are
# checked by the container that made them.
_CONFIG = Config(
    retries={"mode": "adaptive", "total_max_attempts": 12},
    read_timeout=60,
    parameter_validation=False,
)


def vectors_client() -> Any:
    """A client of S3 Vectors that repeats throttled calls."""
    return boto3.client("s3vectors", config=_CONFIG)


class StoredIndex:
    """The index of a vector bucket that is named by its id, if it is there."""

    def __init__(self, client: Any, bucket: str, index_id: str) -> None:
        self._client = client
        self._name = {"vectorBucketName": bucket, "indexName": index_id}

    def exists(self) -> bool:
        try:
            self._client.get_index(**self._name)
        except ClientError as error:
            if error.response["Error"]["Code"] == "NotFoundException":
                return False
            raise
        return True

    def create(self, dimension: int) -> None:
        """Makes it; one that is there stays."""
        try:
            self._client.create_index(**self._name, **index_configuration(dimension))
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConflictException":
                raise

    def put(self, vectors: Sequence[Mapping[str, Any]]) -> None:
        """Puts as many vectors as one call takes; one with the same key is replaced."""
        self._client.put_vectors(**self._name, vectors=vectors)

    def count(self) -> int:
        """Counts the vectors: some minutes for ten million."""

        def count(segment: int) -> int:
            pages = self._client.get_paginator("list_vectors").paginate(
                **self._name,
                segmentCount=_SEGMENTS,
                segmentIndex=segment,
                PaginationConfig={"PageSize": _LIST_PAGE},
            )
            return sum(len(page["vectors"]) for page in pages)

        with ThreadPoolExecutor(_SEGMENTS) as threads:
            return sum(threads.map(count, range(_SEGMENTS)))

    def nearest(self, vector: Mapping[str, Any], count: int) -> list[dict[str, Any]]:
        """The keys of the nearest vectors, nearest first, each with its distance."""
        answer = self._client.query_vectors(
            **self._name, topK=count, queryVector=vector, returnDistance=True
        )
        return [{"key": each["key"], "distance": each["distance"]} for each in answer["vectors"]]
