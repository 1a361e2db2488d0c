"""The copy of a corpus beside its index."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from batch.steps.objects import ObjectStream
from contract.index_objects import index_corpus_prefix
from index import IndexLoadError


def keep_corpus(s3: Any, bucket: str, index_id: str, source: Mapping[str, Any]) -> dict[str, Any]:
    """Copies the corpus, so that it is there for a rollback, and checks the copy.

    Args:
        s3: a client that waits for the copy of half a gigabyte.
        source: the "corpus" of an execution's input.

    Returns:
        The copy's key, version_id and size in bytes.

    Raises:
        IndexLoadError: it cannot be copied, or is not the one that was asked for.
    """
    key = f"{index_corpus_prefix(index_id)}{source['file_name']}"
    pinned = {"Bucket": source["bucket"], "Key": source["key"]}
    if source.get("version_id"):
        pinned["VersionId"] = source["version_id"]
    try:
        # Its tags stay behind: reading them takes another permission.
        s3.copy(pinned, bucket, key, ExtraArgs={"TaggingDirective": "REPLACE"})
    except ClientError as error:
        raise IndexLoadError(
            f"The corpus s3://{source['bucket']}/{source['key']} cannot be copied: {error}"
        ) from error
    copy = s3.head_object(Bucket=bucket, Key=key)
    digest = hashlib.sha256()
    for chunk in ObjectStream(s3, bucket, key, copy["VersionId"]).chunks():
        digest.update(chunk)
    if digest.hexdigest() != source["sha256"]:
        raise IndexLoadError(
            f"The corpus is not the one that was asked for: its sha256 is {digest.hexdigest()},"
            f" expected {source['sha256']}. Pin it again (`python -m commands pin-corpus`):"
            " the pinned sha256 is another version's."
        )
    return {"key": key, "version_id": copy["VersionId"], "size": copy["ContentLength"]}
