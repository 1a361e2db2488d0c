"""Custom::EmptyBucket: empties a bucket when its whole stack is deleted, and only then."""

from __future__ import annotations

import json

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from moto import mock_aws
from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends

import local_aws.moto_adapter  # noqa: F401  moto alone knows no condition of a bucket's policy
from empty_bucket.handler import EmptyBucket
from tests.support.model_validator import check_request

BUCKET = "artifacts-bucket"
REGION = "eu-west-1"
LOCATION = {"LocationConstraint": REGION}


@pytest.fixture
def s3():
    with mock_aws():
        yield boto3.client("s3", region_name=REGION)


@pytest.fixture
def bucket(s3):
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=LOCATION)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    return BUCKET


@pytest.fixture
def handle(s3, answers, monkeypatch):
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    resource = EmptyBucket()
    violations = []

    def check(params, model, **_):
        run.requests.append(model.name)
        violations.extend(check_request("s3", model.name, params))

    resource._s3.meta.events.register("provide-client-params.s3.*", check)

    def run(kind: str, status: str = "DELETE_IN_PROGRESS", **members):
        def describe_stacks(**_):
            return {"Stacks": [{"StackStatus": status}]}

        monkeypatch.setattr(resource._cloudformation, "describe_stacks", describe_stacks)
        event = {
            "RequestType": kind,
            "ResponseURL": answers.url,
            "StackId": "arn:aws:cloudformation:eu-west-1:123456789012:stack/Foundation/1",
            "RequestId": "request",
            "LogicalResourceId": "EmptyArtifacts",
            "ResourceProperties": {"BucketName": BUCKET},
            **({} if kind == "Create" else {"PhysicalResourceId": BUCKET}),
            **members,
        }
        resource.handle(event)
        return answers.received[-1]

    run.requests, run.s3 = [], resource._s3
    yield run
    assert violations == []


def versions(s3) -> int:
    page = s3.list_object_versions(Bucket=BUCKET)
    return len(page.get("Versions", [])) + len(page.get("DeleteMarkers", []))


@pytest.mark.parametrize("status", ["DELETE_IN_PROGRESS", "ROLLBACK_IN_PROGRESS"])
def test_removes_versions_markers_and_unfinished_uploads(s3, bucket, handle, status):
    for _ in range(2):
        s3.put_object(Bucket=BUCKET, Key="bakes/a/bake.json", Body=b"x")
    s3.delete_object(Bucket=BUCKET, Key="bakes/a/bake.json")
    s3.create_multipart_upload(Bucket=BUCKET, Key="half")
    assert versions(s3) == 3
    answer = handle("Delete", status)
    assert answer["Status"] == "SUCCESS"
    assert answer["PhysicalResourceId"] == BUCKET
    assert versions(s3) == 0
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=BUCKET)
    s3.delete_bucket(Bucket=BUCKET)


def test_nothing_is_added_once_it_is_being_emptied(s3, bucket, handle):
    """S3 delivers access logs hours late; a bucket that they fill again cannot be deleted."""
    handle("Delete")
    policy = json.loads(s3.get_bucket_policy(Bucket=BUCKET)["Policy"])
    denied = [
        (s["Effect"], s["Principal"], s["Action"], s.get("Condition")) for s in policy["Statement"]
    ]
    everybody = {"AWS": "*"}
    assert denied == [
        ("Deny", everybody, "s3:PutObject", None),
        ("Deny", everybody, "s3:*", {"Bool": {"aws:SecureTransport": "false"}}),
    ]


def test_removes_more_than_one_request_can(s3, bucket, handle):
    inside = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]  # much quicker than requests
    for number in range(1200):
        inside.put_object(BUCKET, f"{number}", b"")
    assert versions(s3) == 1000, "more than a page"
    assert handle("Delete")["Status"] == "SUCCESS"
    assert versions(s3) == 0


def test_an_unversioned_bucket_is_emptied_too(s3, handle):
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=LOCATION)
    s3.put_object(Bucket=BUCKET, Key="a", Body=b"x")
    assert handle("Delete")["Status"] == "SUCCESS"
    s3.delete_bucket(Bucket=BUCKET)


def test_a_bucket_that_is_gone_is_empty(handle):
    assert handle("Delete")["Status"] == "SUCCESS"


@pytest.mark.parametrize("kind", ["Create", "Update"])
def test_create_and_update_touch_nothing(s3, bucket, handle, kind):
    s3.put_object(Bucket=BUCKET, Key="a", Body=b"x")
    answer = handle(kind)
    assert answer["Status"] == "SUCCESS"
    assert answer["PhysicalResourceId"] == BUCKET
    assert versions(s3) == 1


@pytest.mark.parametrize(
    "status",
    ["UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS"],
)
def test_nothing_is_lost_while_the_stack_stays(s3, bucket, handle, status):
    """E.g. the removal policy became "retain", so that this resource is dropped."""
    s3.put_object(Bucket=BUCKET, Key="a", Body=b"x")
    assert handle("Delete", status)["Status"] == "SUCCESS"
    assert versions(s3) == 1


def test_an_id_made_up_by_cloudformation_names_no_bucket(s3, bucket, handle):
    s3.put_object(Bucket=BUCKET, Key="a", Body=b"x")
    answer = handle("Delete", PhysicalResourceId="FaqSearch-Foundation-Empty-1ABC")
    assert answer["Status"] == "SUCCESS"
    assert handle.requests == []
    assert versions(s3) == 1


def test_a_refusal_of_s3_fails_with_its_words(s3, bucket, handle):
    s3.put_object(Bucket=BUCKET, Key="locked", Body=b"x")
    error = {"Key": "locked", "Code": "AccessDenied", "Message": "Access Denied"}
    handle.s3.meta.events.register(
        "before-call.s3.DeleteObjects",
        lambda **_: (AWSResponse("", 200, {}, None), {"Errors": [error]}),
    )
    answer = handle("Delete")
    assert answer["Status"] == "FAILED"
    assert answer["Reason"] == (
        f"Bucket {BUCKET} could not be emptied: locked: Access Denied (and 0 more)"
    )
    assert versions(s3) == 1
