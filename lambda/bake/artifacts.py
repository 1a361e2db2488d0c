"""What bakes leave in the artifacts bucket: artifact, corpus, and the marker written last."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.client import BaseClient
from botocore.exceptions import ClientError

from bake.finished_bake import Bake

_ABSENT = {"404", "NoSuchKey", "NotFound"}
_ARTIFACT = "/output/model.tar.gz"


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
            answer = self._s3.get_object(Bucket=self._bucket, Key=_marker(bake_id))
            bake = Bake.from_json(answer["Body"].read(), written_at=answer.get("LastModified"))
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
        """Whether the artifact at that s3:// URL exists, and in this bucket."""
        prefix = f"s3://{self._bucket}/"
        return url.startswith(prefix) and self._has(url.removeprefix(prefix))

    def mark(self, bake: Bake) -> None:
        """Write the marker: from now on the bake is reused."""
        self._s3.put_object(
            Bucket=self._bucket,
            Key=_marker(bake.bake_id),
            Body=bake.to_json(),
            ContentType="application/json",
        )

    def has_corpus(self, bake_id: str, corpus: Mapping[str, Any]) -> bool:
        """Whether the bake's own folder holds its corpus already."""
        return self._has(_corpus(bake_id, corpus))

    def bring_corpus(self, bake_id: str, corpus: Mapping[str, Any]) -> None:
        """Copy the corpus into the bake's own folder, from where the job reads it.

        A training job cannot ask for a version: it would read whatever is newest.

        Args:
            bake_id: whose folder.
            corpus: Bucket, Key, FileName and, for one that is pinned, VersionId.

        Raises:
            ValueError: the copy was refused; the message says which version of which object.
        """
        source = {k: corpus[k] for k in ("Bucket", "Key", "VersionId") if k in corpus}
        try:
            self._s3.copy(
                source,
                self._bucket,
                _corpus(bake_id, corpus),
                # Its tags stay where they are: to read them takes another permission.
                ExtraArgs={"TaggingDirective": "REPLACE"},
            )
        except ClientError as error:
            version = f", version {source['VersionId']}," if "VersionId" in source else ""
            raise ValueError(
                f"The corpus s3://{source['Bucket']}/{source['Key']}{version} cannot be copied:"
                f" {error}"
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

    def _has(self, key: str) -> bool:
        try:
            self._s3.head_object(Bucket=self._bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] in _ABSENT:
                return False
            raise
        return True


def _marker(bake_id: str) -> str:
    return f"bakes/{bake_id}/bake.json"


def _corpus(bake_id: str, corpus: Mapping[str, Any]) -> str:
    return f"bakes/{bake_id}/corpus/{corpus['FileName']}"
