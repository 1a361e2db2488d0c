"""Steps of the state machine that loads an index of S3 Vectors.

Every step gets "index", the execution's input: index_id, bake_id, ranking, dimension and corpus
(bucket, key, version_id, sha256, file_name).

- {"action": "prepare"} -> {"next", "batch_id", "wait_seconds"}: copies and checks the corpus, makes
  the index and starts the batch that encodes the corpus; goes on with what an earlier execution
  left. "next" is complete, superseded or encode.
- {"action": "look", "batch_id"} -> {"done"}: whether the batch has ended.
- {"action": "plan", "batch_id"} -> {"parts", "per_second"}: the outputs that are not in the index
  yet, by number, and the vectors a second that each may put.
- {"action": "load", "batch_id", "part", "per_second", "cursor"} -> the next cursor; again until its
  "done" is true.
- {"action": "finish", "batch_id"}: counts what was put and what is there, asks the index for some
  of its vectors, and marks it.
- {"action": "switch"} -> {"switched"}: makes POST /search ask it, if it is still wanted.
- {"action": "fail", "error"}: keeps the reason.

The event is "Step Functions Execution Status Change" of executions that failed, timed out or were
aborted.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from batch.execution import Batch, read_json, start_batch
from batch.steps import BatchError
from batch.steps.objects import ObjectStream, Output, list_outputs
from boto_config import PATIENT
from causes import because, reason_of
from contract.batch_objects import execution_arn, new_batch_id, report_key
from contract.index_objects import part_key
from contract.vector_index import VECTOR_START, VectorIndex
from index import IndexLoadError
from index.corpus import keep_corpus
from index.environment import Environment
from index.loads import Loads, Part
from index.put import LoadCursor, Loading, as_document, is_entry, split_lines
from index.vectors import StoredIndex, vectors_client

# Kept back of the function's time for the call that has begun.
_RESERVE_SECONDS = 90.0
# Of 2,500 a second and index that the service takes, puts and deletes together.
_PER_SECOND = 2_400
MAX_CONCURRENCY = 8
"""Outputs that are loaded at a time; the workflow has the same number."""
_MIN_WAIT, _MAX_WAIT = 3, 300
# An execution may have 25,000 events; each round of waiting and looking takes nine.
_BYTES_PER_WAIT = 4_000_000
_PROBES = 5
# What a vector's distance from itself may be, by rounding.
_TOLERANCE = 0.005

# S3 answers a copy of half a gigabyte once it is done.
_S3 = PATIENT.merge(Config(read_timeout=120))
logging.getLogger().setLevel(logging.INFO)
logger = logging.getLogger(__name__)


class Steps:
    """Does one step, or handles one event."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._s3 = boto3.client("s3", config=_S3)
        self._ssm = boto3.client("ssm", config=PATIENT)
        self._stepfunctions = boto3.client("stepfunctions", config=PATIENT)
        self._vectors = vectors_client()
        self._loads = Loads(self._s3, environment.artifacts_bucket)

    def handle(
        self, event: Mapping[str, Any], remaining_seconds: Callable[[], float]
    ) -> dict[str, Any] | None:
        if "detail" in event:
            self._end(event["detail"])
            return None
        index, action = event["index"], event["action"]
        logger.info("%s of index %s", action, index["index_id"])
        answer: dict[str, Any] | None = None

        def is_time_up() -> bool:
            return remaining_seconds() < _RESERVE_SECONDS

        match action:
            case "prepare":
                answer = self._prepare(index)
            case "look":
                answer = self._look(index, event["batch_id"], is_time_up)
            case "plan":
                answer = self._plan(index, event["batch_id"])
            case "load":
                answer = self._load(event, is_time_up)
            case "finish":
                self._finish(index, event["batch_id"])
            case "switch":
                answer = {"switched": self._switch(index)}
            case "fail":
                self._fail(index["index_id"], event["error"])
            case _:
                raise ValueError(f"unknown action {action!r}")
        return answer

    def _stored(self, index: Mapping[str, Any]) -> StoredIndex:
        return StoredIndex(self._vectors, self._environment.vector_bucket, index["index_id"])

    def _prepare(self, index: Mapping[str, Any]) -> dict[str, Any]:
        index_id = index["index_id"]
        nothing = {"batch_id": None, "wait_seconds": 0}
        if not self._loads.is_wanted(index_id):
            return {"next": "superseded", **nothing}
        if self._stored(index).exists() and self._loads.marker(index_id):
            self._loads.note(index_id, error=None)
            return {"next": "complete", **nothing}
        progress = self._loads.note(index_id, error=None)
        corpus = progress.get("corpus") or self._keep_corpus(index)
        made = self._make_index(index, progress.get("made", 0))
        batch_id = progress.get("batch_id")
        if batch_id is None or not self._is_usable(batch_id, index):
            batch_id = self._start_batch(index_id, corpus)
        self._loads.note(index_id, run=f"{batch_id}-{made}")
        wait = min(max(corpus["size"] // _BYTES_PER_WAIT, _MIN_WAIT), _MAX_WAIT)
        return {"next": "encode", "batch_id": batch_id, "wait_seconds": wait}

    def _make_index(self, index: Mapping[str, Any], made: int) -> int:
        """Makes the index unless it is there; returns how often it was made."""
        stored = self._stored(index)
        if stored.exists():
            return made
        # First, so that nothing counts as loaded that was in one that is gone.
        self._loads.note(index["index_id"], made=made + 1)
        stored.create(index["dimension"])
        return made + 1

    def _keep_corpus(self, index: Mapping[str, Any]) -> dict[str, Any]:
        index_id = index["index_id"]
        corpus = keep_corpus(self._s3, self._loads.bucket, index_id, index["corpus"])
        self._loads.note(index_id, corpus=corpus)
        return corpus

    def _start_batch(self, index_id: str, corpus: Mapping[str, Any]) -> str:
        batch = Batch(
            batch_id=new_batch_id(),
            bucket=self._loads.bucket,
            key=corpus["key"],
            version_id=corpus["version_id"],
            size=corpus["size"],
            instance_count=self._environment.instance_count,
            of_corpus=True,
        )
        # First, so that an invocation that breaks here leaves no batch that nobody knows.
        self._loads.note(index_id, batch_id=batch.batch_id, parts=None, entries=None)
        start_batch(self._stepfunctions, self._environment.batch_state_machine_arn, batch)
        return batch.batch_id

    def _is_usable(self, batch_id: str, index: Mapping[str, Any]) -> bool:
        """Whether a batch still runs, or has left all vectors of the index's artifact."""
        status = self._batch_status(batch_id)
        if status == "RUNNING":
            return True
        report = read_json(self._s3, self._environment.batch_bucket, report_key(batch_id))
        return (
            status == "SUCCEEDED"
            and report is not None
            and _problem(report, index) is None
            # They expire.
            and len(self._outputs(batch_id)) == len(report["output"])
        )

    def _batch_status(self, batch_id: str) -> str | None:
        arn = execution_arn(self._environment.batch_state_machine_arn, batch_id)
        try:
            return self._stepfunctions.describe_execution(executionArn=arn)["status"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "ExecutionDoesNotExist":
                raise
            return None

    def _outputs(self, batch_id: str) -> dict[int, Output]:
        return list_outputs(self._s3, self._environment.batch_bucket, batch_id)

    def _look(
        self, index: Mapping[str, Any], batch_id: str, is_time_up: Callable[[], bool]
    ) -> dict[str, Any]:
        if self._batch_status(batch_id) == "RUNNING":
            return {"done": False}
        report = read_json(self._s3, self._environment.batch_bucket, report_key(batch_id))
        if report is None:
            raise IndexLoadError(f"The batch {batch_id}, which encodes the corpus, was stopped.")
        if problem := _problem(report, index):
            raise IndexLoadError(f"The corpus could not be encoded: {problem}")
        if failed := report["records"]["failed"]:
            self._refuse_entries(batch_id, failed, is_time_up)
        self._loads.note(
            index["index_id"], parts=len(report["output"]), entries=report["records"]["accepted"]
        )
        return {"done": True}

    def _refuse_entries(self, batch_id: str, failed: int, is_time_up: Callable[[], bool]) -> None:
        """Names the first entry that could not be encoded, before anything is put."""
        for output in self._outputs(batch_id).values():
            for line in split_lines(self._stream(output).chunks()):
                if not line.startswith(VECTOR_START):
                    is_entry(line)
            if is_time_up():
                raise IndexLoadError(
                    f"Entries of the corpus that could not be encoded: {failed:,}. The outputs of"
                    f" the batch {batch_id} say which and why."
                )

    def _stream(self, output: Output) -> ObjectStream:
        return ObjectStream(self._s3, self._environment.batch_bucket, output.key)

    def _plan(self, index: Mapping[str, Any], batch_id: str) -> dict[str, Any]:
        there = {part.number for part in self._loads.parts(index["index_id"])}
        parts = [number for number in self._outputs(batch_id) if number not in there]
        at_once = max(1, min(len(parts), MAX_CONCURRENCY))
        return {"parts": parts, "per_second": _PER_SECOND / at_once}

    def _load(self, event: Mapping[str, Any], is_time_up: Callable[[], bool]) -> dict[str, Any]:
        index, batch_id, number = event["index"], event["batch_id"], event["part"]
        output = self._outputs(batch_id).get(number)
        if output is None:
            raise IndexLoadError(f"Output {number} of the batch {batch_id} is gone.")
        cursor = LoadCursor(**(event["cursor"] or {}))
        loading = Loading(self._stored(index), event["per_second"])
        if cursor.offset < output.size:
            lines = split_lines(self._stream(output).chunks(cursor.offset))
            loading.run(lines, cursor, is_time_up)
        else:
            cursor.done = True
        if cursor.done:
            run = self._loads.progress(index["index_id"])["run"]
            key = part_key(index["index_id"], run, number, cursor.entries, cursor.vectors)
            self._loads.add_part(Part(number, cursor.entries, cursor.vectors, key), loading.sample)
        return as_document(cursor)

    def _finish(self, index: Mapping[str, Any], batch_id: str) -> None:
        index_id = index["index_id"]
        progress, parts = self._loads.progress(index_id), self._loads.parts(index_id)
        entries = sum(part.entries for part in parts)
        if len(parts) != progress["parts"] or entries != progress["entries"]:
            raise IndexLoadError(
                f"The index is incomplete: it has {entries:,} of {progress['entries']:,} entries,"
                f" from {len(parts)} of {progress['parts']} outputs of batch {batch_id}."
            )
        vectors = sum(part.vectors for part in parts)
        if not vectors:
            raise IndexLoadError("No entry of the corpus has a vector, so nothing can be found.")
        stored = self._stored(index).count()
        if stored != vectors:
            raise IndexLoadError(
                f"The index has {stored:,} vectors, and {vectors:,} were put: entries with the same"
                " id replace each other. Give each entry of the corpus an id that no other has."
            )
        self._loads.mark(
            index_id,
            {
                **{name: index[name] for name in ("index_id", "bake_id", "ranking", "dimension")},
                "corpus_sha256": index["corpus"]["sha256"],
                "corpus_file": index["corpus"]["file_name"],
                "corpus_key": progress["corpus"]["key"],
                "corpus_version_id": progress["corpus"]["version_id"],
                "entries": entries,
                "vectors": vectors,
                "batch_id": batch_id,
                "loaded_at": datetime.now(UTC).isoformat(timespec="seconds"),
                "probes": self._probe(index, parts),
            },
        )

    def _probe(self, index: Mapping[str, Any], parts: Sequence[Part]) -> list[dict[str, Any]]:
        """Asks the index for vectors that were put: each must find itself, or one like it."""
        chosen = [part for part in parts if part.vectors][:: max(1, len(parts) // _PROBES)]
        probes = []
        for part in chosen[:_PROBES]:
            sample = self._loads.sample(part)
            if not sample:
                continue
            found = self._stored(index).nearest(sample["data"], 3)
            if not found or found[0]["distance"] > _TOLERANCE:
                raise IndexLoadError(
                    f"The index does not find the vector {sample['key']!r} that was put into it:"
                    f" the nearest is {found[:1] or 'none'}. Deploy again to load it anew."
                )
            probes.append({"key": sample["key"], "found": found})
        return probes

    def _switch(self, index: Mapping[str, Any]) -> bool:
        index_id = index["index_id"]
        if not self._loads.is_wanted(index_id):
            return False
        marker = self._loads.marker(index_id) or {}
        value = VectorIndex(
            index_id=index_id,
            vector_bucket=self._environment.vector_bucket,
            bake_id=marker["bake_id"],
            corpus_sha256=marker["corpus_sha256"],
            ranking=marker["ranking"],
            dimension=marker["dimension"],
            entries=marker["entries"],
            vectors=marker["vectors"],
        ).to_json()
        if self._parameter() != value:
            self._ssm.put_parameter(
                Name=self._environment.index_parameter, Value=value, Type="String", Overwrite=True
            )
        return True

    def _parameter(self) -> str | None:
        try:
            answer = self._ssm.get_parameter(Name=self._environment.index_parameter)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ParameterNotFound":
                raise
            return None
        return answer["Parameter"]["Value"]

    def _fail(self, index_id: str, error: Mapping[str, Any]) -> None:
        reason = reason_of(error.get("Error"), error.get("Cause"))
        ours = error.get("Error") in (IndexLoadError.__name__, BatchError.__name__)
        self._loads.note(
            index_id, error=because(reason) if ours else because("Loading failed", reason)
        )

    def _end(self, detail: Mapping[str, Any]) -> None:
        """Keeps the reason of an execution that broke, and stops the batch that nobody awaits."""
        if detail["status"] == "FAILED" and detail.get("error") == "IndexLoadFailed":
            return  # it has kept its reason itself
        execution = self._stepfunctions.describe_execution(executionArn=detail["executionArn"])
        index_id = json.loads(execution["input"])["index_id"]
        ended = {"ABORTED": "was stopped", "TIMED_OUT": "exceeded its time limit"}
        reason = reason_of(detail.get("error"), detail.get("cause"))
        said = because(f"Loading {ended.get(detail['status'], 'failed')}", reason)
        batch_id = self._loads.note(index_id, error=said).get("batch_id")
        if batch_id and self._batch_status(batch_id) == "RUNNING":
            self._stepfunctions.stop_execution(
                executionArn=execution_arn(self._environment.batch_state_machine_arn, batch_id),
                cause="The index that it encodes for is not loaded any more.",
            )


def _problem(report: Mapping[str, Any], index: Mapping[str, Any]) -> str | None:
    """Why a batch cannot be loaded, in a sentence; None if it can be."""
    if report["status"] != "completed":
        return str(report.get("reason") or f"the batch is {report['status']}.")
    encoded_by = (report["deployment"] or {}).get("bake_id")
    if encoded_by != index["bake_id"]:
        return (
            f"it was encoded by the artifact {encoded_by}, which replaced {index['bake_id']} in the"
            " meantime. Deploy again."
        )
    return None


@cache
def _steps() -> Steps:
    return Steps(Environment.read(os.environ))


def handler(event: dict[str, Any], context: Any) -> dict[str, Any] | None:
    """Does one step, or handles one event."""
    return _steps().handle(event, lambda: context.get_remaining_time_in_millis() / 1000)
