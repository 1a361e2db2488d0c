"""S3's events of new objects, from bucket to rule to function; presigned URLs."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import boto3
import pytest
from botocore.config import Config

from local_aws.server import LocalAws
from tests.support.access import local_aws
from tests.support.gateway import create_function
from tests.support.sagemaker import wait_until

WATCHED, RECORDS = "watched-bucket", "records-bucket"
RECORDER = f"""
import json, boto3

def handler(event, context):
    boto3.client("s3").put_object(
        Bucket="{RECORDS}", Key=event["id"], Body=json.dumps(event)
    )
"""


class Watch:
    """A bucket that reports to EventBridge, and a function that records the events."""

    def __init__(self, aws: LocalAws) -> None:
        self.aws = aws
        self.s3 = aws.context.client("s3")
        for bucket in (WATCHED, RECORDS):
            with suppress(self.s3.exceptions.BucketAlreadyOwnedByYou):
                self.s3.create_bucket(Bucket=bucket)
        self.s3.put_bucket_versioning(Bucket=WATCHED, VersioningConfiguration={"Status": "Enabled"})
        self.switch(on=True)
        function = create_function(aws, "object-recorder", RECORDER)
        events = aws.context.client("events")
        pattern = {
            "source": ["aws.s3"],
            "detail-type": ["Object Created"],
            "detail": {"bucket": {"name": [WATCHED]}, "object": {"key": [{"prefix": "input/"}]}},
        }
        events.put_rule(Name="objects", EventPattern=json.dumps(pattern))
        events.put_targets(Rule="objects", Targets=[{"Id": "1", "Arn": function}])

    def switch(self, *, on: bool) -> None:
        configuration = {"EventBridgeConfiguration": {}} if on else {}
        self.s3.put_bucket_notification_configuration(
            Bucket=WATCHED, NotificationConfiguration=configuration
        )

    def records(self) -> list[dict[str, Any]]:
        """The events since the last call."""
        events = []
        for item in self.s3.list_objects_v2(Bucket=RECORDS).get("Contents", []):
            where = {"Bucket": RECORDS, "Key": item["Key"]}
            events.append(json.loads(self.s3.get_object(**where)["Body"].read()))
            self.s3.delete_object(**where)
        return events

    def only_record(self) -> dict[str, Any]:
        """The only event that arrives."""
        events = wait_until(self.records)
        time.sleep(0.3)
        (event,) = [*events, *self.records()]
        return event


@pytest.fixture(scope="module")
def watch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watch]:
    with local_aws(tmp_path_factory.mktemp("aws")) as aws:
        yield Watch(aws)


def test_a_put_is_reported_as_on_aws(watch: Watch) -> None:
    key = "input/a file+ä.jsonl"
    version = watch.s3.put_object(Bucket=WATCHED, Key=key, Body=b"{}\n")["VersionId"]
    event = watch.only_record()
    assert (event["source"], event["detail-type"]) == ("aws.s3", "Object Created")
    assert event["resources"] == [f"arn:aws:s3:::{WATCHED}"]
    detail = event["detail"]
    assert (detail["bucket"], detail["reason"]) == ({"name": WATCHED}, "PutObject")
    described = detail["object"]
    assert (described["key"], described["size"], described["version-id"]) == (key, 3, version)
    assert described["etag"] == "8a80554c91d9fca8acb82f023de02f11"


def test_a_copy_and_a_multipart_upload_are_reported_once(watch: Watch) -> None:
    watch.s3.put_object(Bucket=WATCHED, Key="elsewhere", Body=b"x")
    source = {"Bucket": WATCHED, "Key": "elsewhere"}
    watch.s3.copy_object(Bucket=WATCHED, Key="input/copy", CopySource=source)
    assert watch.only_record()["detail"]["reason"] == "CopyObject"

    where = {"Bucket": WATCHED, "Key": "input/parts"}
    upload = {**where, "UploadId": watch.s3.create_multipart_upload(**where)["UploadId"]}
    etag = watch.s3.upload_part(**upload, PartNumber=1, Body=b"part")["ETag"]
    watch.s3.complete_multipart_upload(
        **upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]}
    )
    detail = watch.only_record()["detail"]
    assert (detail["reason"], detail["object"]["size"]) == ("CompleteMultipartUpload", 4)
    assert "version-id" in detail["object"]


def test_other_keys_changes_and_buckets_are_not_reported(watch: Watch) -> None:
    watch.s3.put_object(Bucket=WATCHED, Key="output/a", Body=b"x")
    watch.switch(on=False)
    watch.s3.put_object(Bucket=WATCHED, Key="input/b", Body=b"x")
    watch.switch(on=True)
    watch.s3.delete_object(Bucket=WATCHED, Key="input/b")
    time.sleep(0.3)
    assert watch.records() == []


def presign(watch: Watch, operation: str, **parameters: Any) -> str:
    # As a function does it: objects encrypted with KMS require signature version 4.
    key = watch.aws.context.administrator
    client = boto3.client(
        "s3",
        endpoint_url=watch.aws.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=key.id,
        aws_secret_access_key=key.secret,
        config=Config(signature_version="s3v4"),
    )
    return str(client.generate_presigned_url(operation, {"Bucket": WATCHED, **parameters}, 600))


def send(url: str, data: bytes | None = None, **headers: str) -> bytes:
    request = urllib.request.Request(
        url,
        data,
        {k.replace("_", "-"): v for k, v in headers.items()},
        method="GET" if data is None else "PUT",
    )
    with urllib.request.urlopen(request) as answer:
        return bytes(answer.read())


@pytest.mark.parametrize("content_type", ["application/jsonlines", ""])
def test_presigned_urls_take_and_give_objects(watch: Watch, content_type: str) -> None:
    key = f"input/uploads/{len(content_type)}.jsonl"
    body = b'{"id": 1, "text_inputs": "a=1&b=\xc3\xa4"}\n'
    signed = {"ContentType": content_type} if content_type else {}
    url = presign(watch, "put_object", Key=key, Metadata={"batch-id": "b1"}, **signed)
    assert url.startswith(f"{watch.aws.endpoint_url}/{WATCHED}/")
    headers = {"x_amz_meta_batch_id": "b1"} | ({"Content_Type": content_type} if signed else {})
    send(url, body, **headers)
    assert watch.only_record()["detail"]["object"]["key"] == key
    found = watch.s3.get_object(Bucket=WATCHED, Key=key)
    assert (found["Body"].read(), found["Metadata"]) == (body, {"batch-id": "b1"})
    assert send(presign(watch, "get_object", Key=key)) == body


def test_an_unsigned_request_for_an_object_is_refused(watch: Watch) -> None:
    watch.s3.put_object(Bucket=WATCHED, Key="private", Body=b"x")
    with pytest.raises(urllib.error.HTTPError) as refusal:
        send(f"{watch.aws.endpoint_url}/{WATCHED}/private")
    assert refusal.value.code == 403
