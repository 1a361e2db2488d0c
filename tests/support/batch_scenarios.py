"""Batches: the function with their steps, and the part of AWS that it uses."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from batch.steps.environment import Environment
from batch.steps.handler import Steps
from container.serving.requests import Record, parse_lines
from container.serving.responses import record_error_json, record_json
from tests.support.recorded_aws import (
    ACCOUNT,
    REGION,
    AwsError,
    RecordedAws,
    body_of,
    etag_of,
    installed,
    ranged,
)

BUCKET = "batch-bucket"
KEY = "input/questions.jsonl"
BATCH_ID = "0b7c2a52-2d3f-4f0e-9c1e-6a2f7e3b9d10"
MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:faq-search-dev-batch"
# The owner of what the caller "team" began.
TEAM = hashlib.sha256(b'["api_key","team"]').hexdigest()
MEBIBYTE = 1024 * 1024
DEPLOYMENT = {
    "bake_id": "b" * 64,
    "model_id": "huggingface-sentencesimilarity-bge-large-en",
    "model_version": "2.1.21",
    "dimension": 1024,
    "corpus_sha256": "c" * 64,
}
ENVIRONMENT = {
    "BATCH_BUCKET": BUCKET,
    "STATE_MACHINE_ARN": MACHINE,
    "TRANSFORM_JOB_PREFIX": "faq-search-dev",
    "DEPLOYMENT_PARAMETER": "/faq-search/dev/deployment",
    "MODEL_NAME_PARAMETER": "/faq-search/dev/model-name/cpu",
    "INSTANCE_TYPE": "ml.c6i.xlarge",
    "INSTANCE_COUNT": "2",
    "VOLUME_KMS_KEY_ID": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234",
    "KMS_KEY_ARN": f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1234",
    "TRANSFORM_AMI_VERSION": "",
    "TAGS": json.dumps({"app": "faq-search", "stage": "dev"}),
    "PRICE": json.dumps({"per_hour": 0.238, "currency": "USD", "as_of": "2025-11-01"}),
}

Handle = Callable[..., Any]


class BatchAws(RecordedAws):
    """RecordedAws with multipart uploads and transform jobs.

    A transform job is done by the time it is looked at a second time. A text with "unencodable"
    in it gets an error for an answer.

    Attributes:
        uploads: unfinished multipart uploads, by id.
        transform_jobs: by name, as DescribeTransformJob describes them.
        model_names: Models that SageMaker knows; None: all.
        fail_shards: numbers of shards that a transform job does not reach.
        ends_lines: whether a transform job ends the last line of an output.
    """

    def __init__(self) -> None:
        super().__init__()
        self.uploads: dict[str, dict[str, Any]] = {}
        self.transform_jobs: dict[str, dict[str, Any]] = {}
        self.model_names: set[str] | None = None
        self.fail_shards: set[int] = set()
        self.transform_outcome: dict[str, Any] = {"TransformJobStatus": "Completed"}
        self.ends_lines = True
        self.parameters = {
            ENVIRONMENT["DEPLOYMENT_PARAMETER"]: json.dumps(DEPLOYMENT),
            ENVIRONMENT["MODEL_NAME_PARAMETER"]: "CpuModel-1",
        }

    def keys(self, prefix: str) -> list[str]:
        """The keys in the batch bucket, in order."""
        return sorted(key for bucket, key in self.objects if key.startswith(prefix))

    def text(self, key: str) -> str:
        """An object of the batch bucket."""
        return self.objects[BUCKET, key].decode()

    def records(self) -> list[dict[str, Any]]:
        """The records in the shards, in order."""
        return [
            record
            for key in self.keys("shards/")
            for line in self.text(key).splitlines()
            for record in json.loads(line)["records"]
        ]

    def rejects(self) -> list[dict[str, Any]]:
        """The rejects, in order."""
        keys = self.keys(f"output/{BATCH_ID}/rejects/")
        return [json.loads(line) for key in keys for line in self.text(key).splitlines()]

    def report(self) -> dict[str, Any]:
        """The report of the batch."""
        report: dict[str, Any] = json.loads(self.text(f"output/{BATCH_ID}/report.json"))
        return report

    def _head_object(self, request: dict[str, Any]) -> dict[str, Any]:
        version = {"VersionId": "version-1"} if request["Bucket"] == BUCKET else {}
        return super()._head_object(request) | version

    def _create_multipart_upload(self, request: dict[str, Any]) -> dict[str, Any]:
        upload_id = f"upload-{len(self.called('CreateMultipartUpload'))}"
        place = request["Bucket"], request["Key"]
        self.uploads[upload_id] = {"place": place, "parts": {}}
        return {"UploadId": upload_id}

    def _upload_part(self, request: dict[str, Any]) -> dict[str, Any]:
        return {"ETag": self._add_part(request, body_of(request))}

    def _upload_part_copy(self, request: dict[str, Any]) -> dict[str, Any]:
        # botocore has written the source as a header.
        bucket, _, key = request["CopySource"].partition("/")
        source = self.objects[bucket, key]
        copied = ranged(source, request.get("CopySourceRange"))
        if "CopySourceRange" in request and len(source) <= 5 * MEBIBYTE:
            raise AwsError("InvalidRequest", "The source is too small to copy a range of it.")
        return {"CopyPartResult": {"ETag": self._add_part(request, copied)}}

    def _add_part(self, request: dict[str, Any], content: bytes) -> str:
        self._upload(request)["parts"][request["PartNumber"]] = content
        return etag_of(content)

    def _upload(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["UploadId"] not in self.uploads:
            raise AwsError("NoSuchUpload", "The specified upload does not exist.", 404)
        return self.uploads[request["UploadId"]]

    def _list_parts(self, request: dict[str, Any]) -> dict[str, Any]:
        parts = sorted(self._upload(request)["parts"].items())
        listed = [{"PartNumber": number, "ETag": etag_of(content)} for number, content in parts]
        return {"Parts": listed, "IsTruncated": False}

    def _complete_multipart_upload(self, request: dict[str, Any]) -> dict[str, Any]:
        upload = self._upload(request)
        named = request["MultipartUpload"]["Parts"]
        parts = [upload["parts"][part["PartNumber"]] for part in named]
        assert [part["ETag"] for part in named] == [etag_of(part) for part in parts]
        if any(len(part) < 5 * MEBIBYTE for part in parts[:-1]):
            raise AwsError("EntityTooSmall", "Your proposed upload is smaller than the minimum ...")
        self.objects[upload["place"]] = b"".join(parts)
        del self.uploads[request["UploadId"]]
        return {}

    def _abort_multipart_upload(self, request: dict[str, Any]) -> None:
        self._upload(request)
        del self.uploads[request["UploadId"]]

    def add_transform_job(self, name: str, status: str, **members: Any) -> None:
        """A transform job as if it had been created."""
        self.transform_jobs[name] = {
            "TransformJobName": name,
            "TransformJobStatus": status,
            "CreationTime": datetime(2025, 11, 1, tzinfo=UTC),
            **members,
        }

    def _create_transform_job(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["TransformJobName"]
        if self.model_names is not None and request["ModelName"] not in self.model_names:
            message = f'Could not find model "arn:aws:sagemaker:...:model/{request["ModelName"]}".'
            raise AwsError("ValidationException", message)
        if name in self.transform_jobs:
            raise AwsError("ResourceInUse", f"Transform job {name} already exists")
        self.add_transform_job(name, "InProgress", **request)
        return {"TransformJobArn": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:transform-job/{name}"}

    def _describe_transform_job(self, request: dict[str, Any]) -> dict[str, Any]:
        if request["TransformJobName"] not in self.transform_jobs:
            raise AwsError("ValidationException", "Could not find requested job")
        job = self.transform_jobs[request["TransformJobName"]]
        if job["TransformJobStatus"] in ("InProgress", "Stopping") and self.transform_outcome:
            self.transform(job)
            started = job["CreationTime"] + timedelta(minutes=3)
            times = {
                "TransformStartTime": started,
                "TransformEndTime": started + timedelta(minutes=30),
            }
            job.update({**times, **self.transform_outcome})
        return job

    def _stop_transform_job(self, request: dict[str, Any]) -> None:
        job = self.transform_jobs.get(request["TransformJobName"])
        if job is None or job["TransformJobStatus"] != "InProgress":
            raise AwsError("ValidationException", "The job does not exist or has ended.")
        job["TransformJobStatus"] = "Stopping"

    def transform(self, job: dict[str, Any]) -> None:
        """Answer every shard, as the container does and as SageMaker puts answers together."""
        source = job["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"]
        target = job["TransformOutput"]["S3OutputPath"].removeprefix(f"s3://{BUCKET}/")
        prefix = source.removeprefix(f"s3://{BUCKET}/")
        for number, key in enumerate(self.keys(prefix)):
            if number not in self.fail_shards:
                lines = self.text(key).splitlines()
                answers = "\n".join(line for group in lines for line in answer(group))
                content = answers + "\n" if self.ends_lines else answers
                name = key.removeprefix(prefix)
                self.objects[BUCKET, f"{target}/{name}.out"] = content.encode()


_VECTOR = np.array([0.25, -0.5], dtype=np.float32)


def answer(group: str) -> Iterator[str]:
    """What the container answers to one line of a shard."""
    for record in parse_lines(group):
        assert isinstance(record, Record), record
        if "unencodable" in record.text:
            line = record_error_json(record.id, 'it cannot be encoded, "embedding":[ or not')
        else:
            line = record_json(record.id, _VECTOR)
        yield line.decode()


def batch(content: bytes = b"", **changes: Any) -> dict[str, Any]:
    """The input of an execution."""
    return {
        "batch_id": BATCH_ID,
        "input": {"bucket": BUCKET, "key": KEY, "version_id": "v1", "size": len(content)},
        "instance_count": 1,
        "merge": False,
        "owner": TEAM,
        "requested_at": "2025-11-01T00:00:00Z",
        **changes,
    }


def put_input(aws: BatchAws, content: bytes) -> dict[str, Any]:
    """A file under the input prefix, and the batch that embeds it."""
    aws.versions[BUCKET, KEY, "v1"] = content
    return batch(content)


@pytest.fixture
def batch_aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[BatchAws]:
    """AWS for one test of batches."""
    yield from installed(BatchAws(), monkeypatch)


def deployed_steps(**environment: str) -> Handle:
    """The function; `seconds` is the time that it always has left."""
    deployed = Steps(Environment.read({**ENVIRONMENT, **environment}))

    def handle(event: dict[str, Any], seconds: float = 900) -> Any:
        # Step Functions passes JSON.
        answered = deployed.handle(json.loads(json.dumps(event, default=str)), lambda: seconds)
        return json.loads(json.dumps(answered))

    return handle


@pytest.fixture
def steps(batch_aws: BatchAws) -> Handle:
    """The function with the usual environment."""
    return deployed_steps()


def split_all(steps: Handle, asked: dict[str, Any], seconds: float = 900) -> dict[str, Any]:
    """Split to the end, as the workflow does; returns the last cursor."""
    cursor: dict[str, Any] | None = None
    while cursor is None or not cursor["done"]:
        before = cursor
        cursor = steps({"action": "split", "batch": asked, "cursor": before}, seconds)
        assert before is None or cursor["offset"] > before["offset"]
    return cursor
