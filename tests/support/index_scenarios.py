"""Indexes of S3 Vectors: the functions that load them, and the part of AWS that these use."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from contract.batch_objects import output_prefix, report_key
from index.environment import Environment
from index.handler import Steps
from index.resource import IndexResource
from tests.support.recorded_aws import ACCOUNT, REGION, AwsError, RecordedAws, installed

ARTIFACTS, BATCH_BUCKET, VECTOR_BUCKET = "artifacts-bucket", "batch-bucket", "faq-search-dev"
PARAMETER = "/faq-search/dev/index"
BATCHES = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:faq-search-dev-batch"
MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:faq-search-dev-index"
CORPUS = b'{"id":"1","questions":["Why?"],"answer":"So."}\n' * 3
ENVIRONMENT = {
    "ARTIFACTS_BUCKET": ARTIFACTS,
    "BATCH_BUCKET": BATCH_BUCKET,
    "BATCH_STATE_MACHINE_ARN": BATCHES,
    "VECTOR_BUCKET": VECTOR_BUCKET,
    "INDEX_PARAMETER": PARAMETER,
    "INSTANCE_COUNT": "2",
    "STATE_MACHINE_ARN": MACHINE,
}
BAKE = "b" * 64


def index(letter: str = "a", content: bytes = CORPUS, **others: Any) -> dict[str, Any]:
    """The input of the state machine for an index whose id is 40 times that letter."""
    return {
        "index_id": letter * 40,
        "bake_id": BAKE,
        "ranking": "hybrid",
        "dimension": 4,
        "corpus": {
            "bucket": "assets",
            "key": f"{letter}.jsonl",
            "sha256": hashlib.sha256(content).hexdigest(),
            "file_name": "corpus.jsonl",
        },
        **others,
    }


def vector_line(entry: int | str, number: int = 0) -> bytes:
    """A line of the transform's output: one of an entry's vectors."""
    angle = hash((entry, number)) % 1000 / 1000
    numbers = [math.cos(angle), math.sin(angle), 0.0, 0.0]
    line = {"key": f"{number}/{entry}", "data": {"float32": numbers}, "metadata": {"answer": "So."}}
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"


def outputs(entries: int, shards: int = 3) -> list[bytes]:
    """What a transform writes of so many entries, of which every tenth has two vectors."""
    lines = [vector_line(n) + (vector_line(n, 1) if n % 10 == 0 else b"") for n in range(entries)]
    return [b"".join(lines[shard::shards]) for shard in range(shards)]


class IndexAws(RecordedAws):
    """RecordedAws with S3 Vectors, and batches that are done by the time they are looked at.

    Attributes:
        indexes: vectors by key, by index.
        outputs: what a batch writes, by shard. report: changes of its report.
        batch_status: of a batch's execution that is looked at.
    """

    def __init__(self) -> None:
        super().__init__()
        self.indexes: dict[str, dict[str, list[float]]] = {}
        self.outputs = outputs(60)
        self.report: dict[str, Any] = {}
        self.batch_status = "SUCCEEDED"
        for letter in "ab":
            self.objects["assets", f"{letter}.jsonl"] = CORPUS

    def json(self, key: str) -> Any:
        """An object of the artifacts bucket."""
        return json.loads(self.objects[ARTIFACTS, key])

    def _head_object(self, request: dict[str, Any]) -> dict[str, Any]:
        return super()._head_object(request) | {"VersionId": "v1"}

    def _content(self, request: dict[str, Any]) -> bytes:
        # The bucket keeps versions; here there is one of each object.
        return super()._content({n: v for n, v in request.items() if n != "VersionId"})

    def _describe_execution(self, request: dict[str, Any]) -> dict[str, Any]:
        found = super()._describe_execution(request)
        arn = request["executionArn"]
        if ":faq-search-dev-batch:" in arn and found["status"] == "RUNNING":
            found["status"] = self.batch_status
            if self.batch_status == "SUCCEEDED":
                self._finish_batch(arn.rpartition(":")[2], json.loads(found["input"]))
        return found

    def _finish_batch(self, batch_id: str, task: dict[str, Any]) -> None:
        assert task["of_corpus"] is True
        names = [f"{output_prefix(batch_id)}{n:05}.jsonl.out" for n in range(len(self.outputs))]
        for name, content in zip(names, self.outputs, strict=True):
            self.objects[BATCH_BUCKET, name] = content
        content = b"".join(self.outputs)
        failed = content.count(b'"error":')
        report = {
            "status": "completed",
            "records": {
                "accepted": content.count(b'"key":"0/') + content.count(b'"left_out"') + failed,
                "failed": failed,
            },
            "output": names,
            "deployment": {"bake_id": BAKE},
            **self.report,
        }
        self.objects[BATCH_BUCKET, report_key(batch_id)] = json.dumps(report).encode()

    def _create_index(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["indexName"]
        if name in self.indexes:
            raise AwsError("ConflictException", "An index with the specified name already exists")
        self.indexes[name] = {}
        return {"indexArn": f"arn:aws:s3vectors:{REGION}:{ACCOUNT}:bucket/b/index/{name}"}

    def _index(self, request: dict[str, Any]) -> dict[str, list[float]]:
        if request["indexName"] not in self.indexes:
            raise AwsError("NotFoundException", "The specified index could not be found", 404)
        return self.indexes[request["indexName"]]

    def _get_index(self, request: dict[str, Any]) -> dict[str, Any]:
        self._index(request)
        return {"index": {"indexName": request["indexName"]}}

    def _list_indexes(self, _request: dict[str, Any]) -> dict[str, Any]:
        return {"indexes": [{"indexName": name} for name in self.indexes]}

    def _delete_index(self, request: dict[str, Any]) -> None:
        self.indexes.pop(request["indexName"], None)

    def _put_vectors(self, request: dict[str, Any]) -> None:
        found = self._index(request)
        keys = [vector["key"] for vector in request["vectors"]]
        assert len(set(keys)) == len(keys) <= 500
        found.update({each["key"]: each["data"]["float32"] for each in request["vectors"]})

    def _list_vectors(self, request: dict[str, Any]) -> dict[str, Any]:
        keys = [*self._index(request)][request["segmentIndex"] :: request["segmentCount"]]
        start = int(request.get("nextToken", 0))
        end = start + request["maxResults"]
        more = {"nextToken": str(end)} if end < len(keys) else {}
        return {"vectors": [{"key": key} for key in keys[start:end]], **more}

    def _query_vectors(self, request: dict[str, Any]) -> dict[str, Any]:
        asked = request["queryVector"]["float32"]
        distances = sorted(
            (1 - sum(a * b for a, b in zip(asked, numbers, strict=True)), key)
            for key, numbers in self._index(request).items()
        )
        found = [{"key": key, "distance": far} for far, key in distances[: request["topK"]]]
        return {"vectors": found, "distanceMetric": "cosine"}


@pytest.fixture
def index_aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[IndexAws]:
    yield from installed(IndexAws(), monkeypatch)


@pytest.fixture
def index_steps(index_aws: IndexAws) -> Callable[..., Any]:
    """The function behind the state machine: an event, and the seconds left, to its answer."""
    steps = Steps(Environment.read(ENVIRONMENT))
    return lambda event, seconds=900.0: steps.handle(event, lambda: seconds)


@pytest.fixture
def index_resource(index_aws: IndexAws) -> IndexResource:
    return IndexResource(ENVIRONMENT)
