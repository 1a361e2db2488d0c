"""moto's S3 as a deployed app needs it."""

from __future__ import annotations

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from tempfile import SpooledTemporaryFile

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.s3.models import s3_backends

from local_aws import moto_adapter

MB = 1 << 20


@pytest.fixture(scope="module", autouse=True)
def moto_in_process():
    moto_adapter.create_wsgi_app()
    with mock_aws():
        yield


@pytest.fixture
def s3():
    client = boto3.client("s3", region_name="us-east-1")
    client.create_bucket(Bucket="kept")
    yield client
    boto3.resource("s3", region_name="us-east-1").Bucket("kept").object_versions.delete()
    client.delete_bucket(Bucket="kept")


def stored(key):
    return s3_backends["123456789012"]["aws"].get_object("kept", key)


def upload(s3, key, *parts, **options):
    upload = s3.create_multipart_upload(Bucket="kept", Key=key, **options)["UploadId"]
    where = {"Bucket": "kept", "Key": key, "UploadId": upload}
    made = [
        {"PartNumber": n, "ETag": s3.upload_part(**where, PartNumber=n, Body=part)["ETag"]}
        for n, part in enumerate(parts, 1)
    ]
    return s3.complete_multipart_upload(**where, MultipartUpload={"Parts": made})


def code(refusal):
    return refusal.value.response["Error"]["Code"]


def test_a_delete_marker_can_be_deleted(s3):
    s3.put_bucket_versioning(Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket="kept", Key="k", Body=b"x")
    marker = s3.delete_object(Bucket="kept", Key="k")["VersionId"]
    named = {"Objects": [{"Key": "k", "VersionId": marker}]}
    s3.delete_objects(Bucket="kept", Delete=named)
    assert s3.get_object(Bucket="kept", Key="k")["Body"].read() == b"x"


def test_a_policy_that_demands_tls_denies_nothing(s3):
    deny = {
        "Effect": "Deny",
        "Principal": {"AWS": "*"},
        "Action": "s3:*",
        "Resource": ["arn:aws:s3:::kept", "arn:aws:s3:::kept/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    s3.put_bucket_policy(Bucket="kept", Policy=policy)
    s3.put_object(Bucket="kept", Key="k", Body=b"v")
    assert s3.get_object(Bucket="kept", Key="k")["Body"].read() == b"v"
    assert json.loads(s3.get_bucket_policy(Bucket="kept")["Policy"])["Statement"] == [deny]


@pytest.mark.parametrize(
    ("asked", "expected", "content_range"),
    [
        ("bytes=0-3", b"0123", "bytes 0-3/10"),
        ("bytes=4-", b"456789", "bytes 4-9/10"),
        ("bytes=8-99", b"89", "bytes 8-9/10"),
        ("bytes=-3", b"789", "bytes 7-9/10"),
        ("bytes=5-2", b"0123456789", None),
    ],
)
def test_a_range_gives_its_bytes_and_says_which(s3, asked, expected, content_range):
    s3.put_object(Bucket="kept", Key="k", Body=b"0123456789")
    found = s3.get_object(Bucket="kept", Key="k", Range=asked)
    assert (found["Body"].read(), found.get("ContentRange")) == (expected, content_range)
    assert found["ContentLength"] == len(expected)
    # The thread's next request is not limited to that range.
    assert s3.get_object(Bucket="kept", Key="k")["Body"].read() == b"0123456789"


def test_a_range_beyond_the_end_is_refused(s3):
    s3.put_object(Bucket="kept", Key="k", Body=b"0123456789")
    with pytest.raises(ClientError) as refusal:
        s3.get_object(Bucket="kept", Key="k", Range="bytes=10-12")
    assert code(refusal) == "InvalidRange"
    with pytest.raises(ClientError) as refusal:
        s3.get_object(Bucket="kept", Key="absent", Range="bytes=0-1")
    assert code(refusal) == "NoSuchKey"


def test_a_range_reads_no_more_than_its_bytes(s3):
    s3.put_object(Bucket="kept", Key="k", Body=b"x" * 6 * MB)
    sizes = []
    buffer = stored("k")._value_buffer
    read = buffer.read

    def counted(size=-1):
        sizes.append(size)
        return read(size)

    buffer.read = counted
    s3.get_object(Bucket="kept", Key="k", Range="bytes=1000-1999")
    assert sizes == [1000]


def test_an_earlier_version_is_read_by_range(s3):
    s3.put_bucket_versioning(Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket="kept", Key="k", Body=b"first")["VersionId"]
    s3.put_object(Bucket="kept", Key="k", Body=b"second")
    found = s3.get_object(Bucket="kept", Key="k", VersionId=first, Range="bytes=1-3")
    assert (found["Body"].read(), found["VersionId"]) == (b"irs", first)


@pytest.mark.parametrize("options", [{}, {"ChecksumAlgorithm": "SHA256"}])
def test_a_multipart_upload_is_joined_and_its_parts_are_given_up(s3, options):
    parts = [os.urandom(5 * MB), os.urandom(5 * MB), b"end"]
    made = upload(s3, "k", *parts, **options)
    assert made["ETag"].endswith('-3"')
    found = s3.get_object(Bucket="kept", Key="k")
    assert found["Body"].read() == b"".join(parts)
    assert found["ETag"] == made["ETag"]
    assert stored("k").multipart.parts == {}


def test_a_joined_object_takes_its_file_over_and_is_not_written_again(s3, monkeypatch):
    written = []
    write = SpooledTemporaryFile.write

    def noted(self, content):
        written.append(len(content))
        return write(self, content)

    monkeypatch.setattr(SpooledTemporaryFile, "write", noted)
    upload(s3, "k", b"x" * 5 * MB, b"end")
    assert written == [5 * MB, 3]
    s3.copy_object(Bucket="kept", Key="copy", CopySource={"Bucket": "kept", "Key": "k"})
    s3.delete_object(Bucket="kept", Key="k")
    assert s3.get_object(Bucket="kept", Key="copy")["Body"].read() == b"x" * 5 * MB + b"end"


def test_a_multipart_upload_is_checked_as_aws_does(s3):
    with pytest.raises(ClientError) as refusal:
        upload(s3, "k", b"too small", b"last")
    assert code(refusal) == "EntityTooSmall"
    begun = s3.create_multipart_upload(Bucket="kept", Key="k")["UploadId"]
    where = {"Bucket": "kept", "Key": "k", "UploadId": begun}
    s3.upload_part(**where, PartNumber=1, Body=b"x")
    with pytest.raises(ClientError) as refusal:
        s3.complete_multipart_upload(
            **where, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": '"00"'}]}
        )
    assert code(refusal) == "InvalidPart"
    uploads = s3.list_multipart_uploads(Bucket="kept")["Uploads"]
    assert begun in {upload["UploadId"] for upload in uploads}


def test_parts_are_copied_from_other_objects(s3):
    s3.put_object(Bucket="kept", Key="a", Body=b"a" * 5 * MB)
    s3.put_object(Bucket="kept", Key="b", Body=b"b" * 100)
    begun = s3.create_multipart_upload(Bucket="kept", Key="k")["UploadId"]
    where = {"Bucket": "kept", "Key": "k", "UploadId": begun}
    made = []
    for number, (key, more) in enumerate([("a", {}), ("b", {"CopySourceRange": "bytes=0-9"})], 1):
        part = s3.upload_part_copy(
            **where, PartNumber=number, CopySource={"Bucket": "kept", "Key": key}, **more
        )
        made.append({"PartNumber": number, "ETag": part["CopyPartResult"]["ETag"]})
    s3.complete_multipart_upload(**where, MultipartUpload={"Parts": made})
    found = s3.get_object(Bucket="kept", Key="k")["Body"].read()
    assert found == b"a" * 5 * MB + b"b" * 10


def test_large_objects_go_to_the_disk_without_filling_the_memory_first(s3, monkeypatch):
    on_disk = []
    write = SpooledTemporaryFile.write

    def noted(self, content):
        on_disk.append(self._rolled)
        return write(self, content)

    monkeypatch.setattr(SpooledTemporaryFile, "write", noted)
    s3.put_object(Bucket="kept", Key="small", Body=b"x")
    s3.put_object(Bucket="kept", Key="large", Body=b"x" * 6 * MB)
    assert on_disk == [False, True]
    assert s3.get_object(Bucket="kept", Key="large")["Body"].read() == b"x" * 6 * MB


def test_of_several_conditional_puts_one_succeeds(s3, monkeypatch):
    backend = s3_backends["123456789012"]["aws"]
    look = backend.get_object
    together = threading.Barrier(2)

    def slowly(*args, **kwargs):
        found = look(*args, **kwargs)
        with suppress(threading.BrokenBarrierError):
            together.wait(0.2)  # passes only where both look before either puts
        return found

    def put(body):
        try:
            s3.put_object(Bucket="kept", Key="k", Body=body, IfNoneMatch="*")
        except ClientError as error:
            return error.response["Error"]["Code"]
        return body

    monkeypatch.setattr(backend, "get_object", slowly)
    with ThreadPoolExecutor(2) as pool:
        results = list(pool.map(put, [b"1", b"2"]))
    monkeypatch.undo()
    winner = s3.get_object(Bucket="kept", Key="k")["Body"].read()
    assert sorted(map(str, results)) == sorted(map(str, ["PreconditionFailed", winner]))
