"""What earlier bakes left in the artifacts bucket, and the marker that makes it reusable."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from botocore.client import BaseClient
from botocore.exceptions import ClientError

_ABSENT = {"404", "NoSuchKey", "NotFound"}
_ARTIFACT = "/output/model.tar.gz"


@dataclass(frozen=True, slots=True)
class Bake:
    """One finished bake, as its marker tells it."""

    bake_id: str
    model_data_url: str
    training_job_name: str

    def attributes(self) -> dict[str, str]:
        """What templates read with Fn::GetAtt."""
        return {
            "ModelDataUrl": self.model_data_url,
            "TrainingJobName": self.training_job_name,
        }


class Artifacts:
    """The artifacts bucket.

    Args:
        s3: a boto3 client.
        bucket: the bucket of today's stack. An artifact elsewhere does not count.
    """

    def __init__(self, s3: BaseClient, bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket

    def find(self, bake_id: str) -> Bake | None:
        """The bake of that id, if its marker and its artifact are both there."""
        try:
            body = self._s3.get_object(Bucket=self._bucket, Key=_marker(bake_id))["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] in _ABSENT:
                return None
            raise
        try:
            bake = Bake(**json.loads(body))
        except (TypeError, ValueError):
            return None
        if bake.bake_id != bake_id or not self.holds(bake.model_data_url):
            return None
        return bake

    def holds(self, url: str) -> bool:
        """Whether the artifact at that s3:// URL exists, and in this bucket."""
        prefix = f"s3://{self._bucket}/"
        if not url.startswith(prefix):
            return False
        try:
            self._s3.head_object(Bucket=self._bucket, Key=url.removeprefix(prefix))
        except ClientError as error:
            if error.response["Error"]["Code"] in _ABSENT:
                return False
            raise
        return True

    def mark(self, bake: Bake) -> None:
        """Write the marker: from now on the bake is reused."""
        self._s3.put_object(
            Bucket=self._bucket,
            Key=_marker(bake.bake_id),
            Body=json.dumps(asdict(bake)).encode(),
            ContentType="application/json",
        )

    def bring_corpus(self, bake_id: str, pinned: Mapping[str, str]) -> None:
        """Copy one version of a corpus into the bake's own folder, from where the job reads it.

        A training job cannot ask for a version: it would read whatever is newest.

        Args:
            bake_id: whose folder.
            pinned: Bucket, Key and VersionId of the corpus.

        Raises:
            ValueError: the copy was refused; the message says which version of which object.
        """
        name = pinned["Key"].rpartition("/")[2]
        try:
            self._s3.copy(
                dict(pinned),
                self._bucket,
                f"bakes/{bake_id}/corpus/{name}",
                # Its tags stay where they are: to read them takes another permission.
                ExtraArgs={"TaggingDirective": "REPLACE"},
            )
        except ClientError as error:
            raise ValueError(
                f"The corpus s3://{pinned['Bucket']}/{pinned['Key']}, version"
                f" {pinned['VersionId']}, cannot be copied: {error}"
            ) from error

    def newest(self, bake_id: str) -> Bake | None:
        """The latest artifact of that bake even without a marker: a rollback's best guess."""
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=f"bakes/{bake_id}/"
        )
        found = [
            item
            for page in pages
            for item in page.get("Contents", [])
            if item["Key"].endswith(_ARTIFACT)
        ]
        if not found:
            return None
        key = max(found, key=lambda item: item["LastModified"])["Key"]
        job = key.removesuffix(_ARTIFACT).rsplit("/", 1)[-1]
        return Bake(bake_id, f"s3://{self._bucket}/{key}", job)


def _marker(bake_id: str) -> str:
    return f"bakes/{bake_id}/bake.json"
