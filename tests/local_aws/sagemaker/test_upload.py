"""An object that is uploaded while its content is produced."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from moto import mock_aws

from local_aws.sagemaker import storage
from local_aws.sagemaker.storage import Location, Upload

MB = 1 << 20
CHUNK = bytes(range(256)) * 4096


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    parts = TransferConfig(
        multipart_threshold=5 * MB, multipart_chunksize=5 * MB, use_threads=False
    )
    monkeypatch.setattr(storage, "_IN_PARTS", parts)
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket="kept")
        yield client


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.mark.parametrize("chunks", [0, 1, 5, 12])
def test_the_object_is_what_was_written(s3: Any, pool: ThreadPoolExecutor, chunks: int) -> None:
    upload = Upload(pool, s3, Location("kept", "k"), None)
    for _ in range(chunks):
        upload.write(CHUNK)
    upload.finish().result()
    assert s3.get_object(Bucket="kept", Key="k")["Body"].read() == CHUNK * chunks


@pytest.mark.parametrize("chunks", [0, 1, 12])
def test_a_discarded_upload_leaves_nothing(s3: Any, pool: ThreadPoolExecutor, chunks: int) -> None:
    upload = Upload(pool, s3, Location("kept", "k"), None)
    for _ in range(chunks):
        upload.write(CHUNK)
    upload.discard()
    assert "Contents" not in s3.list_objects_v2(Bucket="kept")
    assert "Uploads" not in s3.list_multipart_uploads(Bucket="kept")


def test_an_upload_that_fails_holds_nobody_up(s3: Any, pool: ThreadPoolExecutor) -> None:
    upload = Upload(pool, s3, Location("absent", "k"), None)
    for _ in range(40):
        upload.write(CHUNK)
    with pytest.raises(Exception, match="NoSuchBucket"):
        upload.finish().result()
