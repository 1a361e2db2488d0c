"""What bakes leave in the artifacts bucket: artifact, corpus, and at last a marker."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from contract.bake_objects import ARTIFACT_SUFFIX, bake_prefix, corpus_prefix, marker_key

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_ABSENT = {"404", "NoSuchKey", "NotFound"}
_REQUIRED = ("bake_id", "model_data_url", "training_job_name")
_COMPARED = ("model_id", "model_version", "dimension", "ranking", "corpus_sha256")


@dataclass(frozen=True, slots=True)
class Bake:
    """One finished bake.

    Attributes:
        facts: what its marker says besides: model_id, model_version, dimension, ranking,
            corpus_sha256, corpus_file, entries (if known) and baked_at. Markers of earlier
            versions of this app lack them.
        written_at: when the marker was written, if it was read.
    """

    bake_id: str
    model_data_url: str
    training_job_name: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    written_at: datetime | None = None

    @classmethod
    def from_json(cls, body: bytes, written_at: datetime) -> Bake:
        """Reads a marker; raises ValueError if it is not one."""
        marker = json.loads(body)
        if not isinstance(marker, dict):
            raise ValueError("a marker is a JSON object")
        bake_id, url, job = (marker.pop(name, None) for name in _REQUIRED)
        if not (isinstance(bake_id, str) and isinstance(url, str) and isinstance(job, str)):
            raise ValueError(f"a marker has {', '.join(_REQUIRED)}")
        return cls(bake_id, url, job, marker, written_at)

    def to_json(self) -> bytes:
        """The marker."""
        return json.dumps({**{n: getattr(self, n) for n in _REQUIRED}, **self.facts}).encode()

    def attributes(self) -> dict[str, str]:
        """What templates read with `Fn::GetAtt`."""
        return {
            "ModelDataUrl": self.model_data_url,
            "TrainingJobName": self.training_job_name,
        }

    def differences(self, properties: Mapping[str, Any]) -> list[str]:
        """Where the marker contradicts the properties of the custom resource."""
        expected = facts_of(properties)
        # Earlier versions of this app hashed the corpus's file, not its entries.
        also = {"corpus_sha256": properties.get("Corpus", {}).get("FileSha256")}
        return [
            f"{name} is {self.facts[name]!r}, not {expected[name]!r}"
            for name in _COMPARED
            if name in self.facts
            and name in expected
            and self.facts[name] not in (expected[name], also.get(name))
        ]


def facts_of(properties: Mapping[str, Any], baked_at: datetime | None = None) -> dict[str, Any]:
    """What the properties of the custom resource say about its bake.

    Args:
        properties: CloudFormation has made strings of its numbers.
        baked_at: now, if not given.
    """
    hyperparameters = properties["TrainingJob"].get("HyperParameters", {})
    facts: dict[str, Any] = {n: hyperparameters[n] for n in _COMPARED if n in hyperparameters}
    if "dimension" in facts:
        facts["dimension"] = int(facts["dimension"])
    corpus = properties.get("Corpus", {})
    if "FileName" in corpus:
        facts["corpus_file"] = corpus["FileName"]
    if "Entries" in corpus:
        facts["entries"] = int(corpus["Entries"])
    moment = baked_at or datetime.now(UTC)
    facts["baked_at"] = moment.astimezone(UTC).isoformat(timespec="seconds")
    return facts


class Artifacts:
    """The artifacts bucket of today's stack; an artifact elsewhere does not count."""

    def __init__(self, s3: S3Client, bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket

    def find(self, bake_id: str) -> Bake | None:
        """The bake of that id, if its marker and its artifact are both there."""
        try:
            answer = self._s3.get_object(Bucket=self._bucket, Key=marker_key(bake_id))
            bake = Bake.from_json(answer["Body"].read(), written_at=answer["LastModified"])
        except ClientError as error:
            if error.response["Error"]["Code"] in _ABSENT:
                return None
            raise
        except ValueError:
            return None
        if bake.bake_id != bake_id or not self.holds(bake.model_data_url):
            return None
        return bake

    def holds(self, url: str) -> bool:
        """Whether the artifact at that s3:// URL exists, in this bucket."""
        prefix = f"s3://{self._bucket}/"
        return url.startswith(prefix) and self._has(url.removeprefix(prefix))

    def mark(self, bake: Bake) -> None:
        """Writes the marker: from now on the bake is reused."""
        self._s3.put_object(
            Bucket=self._bucket,
            Key=marker_key(bake.bake_id),
            Body=bake.to_json(),
            ContentType="application/json",
        )

    def has_corpus(self, bake_id: str, corpus: Mapping[str, Any]) -> bool:
        """Whether the corpus lies beside its bake already."""
        return self._has(_corpus(bake_id, corpus))

    def copy_corpus(self, bake_id: str, corpus: Mapping[str, Any]) -> None:
        """Copies the corpus beside its bake, where the training job reads it.

        A training job cannot ask for a version: it would read whatever is newest.

        Args:
            corpus: Bucket, Key, FileName and, for a pinned one, VersionId.

        Raises:
            ValueError: the copy was refused; the message says which version of which object.
        """
        source: Any = {k: corpus[k] for k in ("Bucket", "Key", "VersionId") if k in corpus}
        try:
            self._s3.copy(
                source,
                self._bucket,
                _corpus(bake_id, corpus),
                # Its tags stay behind: reading them takes another permission.
                ExtraArgs={"TaggingDirective": "REPLACE"},
            )
        except ClientError as error:
            version = f", version {source['VersionId']}," if "VersionId" in source else ""
            raise ValueError(
                f"The corpus s3://{source['Bucket']}/{source['Key']}{version} cannot be copied:"
                f" {error}"
            ) from error

    def newest(self, bake_id: str) -> Bake | None:
        """The latest artifact of that bake, marked or not: a rollback's best guess."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=bake_prefix(bake_id)
        )
        found = [
            item
            for page in pages
            for item in page.get("Contents", [])
            if item["Key"].endswith(ARTIFACT_SUFFIX)
        ]
        if not found:
            return None
        key = max(found, key=lambda item: item["LastModified"])["Key"]
        job = key.removesuffix(ARTIFACT_SUFFIX).rsplit("/", 1)[-1]
        return Bake(bake_id, f"s3://{self._bucket}/{key}", job)

    def _has(self, key: str) -> bool:
        try:
            self._s3.head_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] in _ABSENT:
                return False
            raise
        return True


def _corpus(bake_id: str, corpus: Mapping[str, Any]) -> str:
    return f"{corpus_prefix(bake_id)}{corpus['FileName']}"
