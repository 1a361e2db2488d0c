"""CloudFormation over HTTP with botocore's client and the local AWS's services."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request

import pytest
from botocore.exceptions import ClientError

from tests.support.access import local_aws


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    with local_aws(tmp_path_factory.mktemp("aws"), region="eu-west-1") as aws:
        yield aws.context


@pytest.fixture
def cloudformation(context):
    return context.client("cloudformation")


BUCKET = {
    "Type": "AWS::S3::Bucket",
    "Properties": {
        "VersioningConfiguration": {"Status": "Enabled"},
        "PublicAccessBlockConfiguration": {"BlockPublicAcls": True},
        "BucketEncryption": {
            "ServerSideEncryptionConfiguration": [
                {"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
            ]
        },
        "CorsConfiguration": {
            "CorsRules": [
                {
                    "Id": "pages",
                    "AllowedOrigins": ["https://*.example.com"],
                    "AllowedMethods": ["GET"],
                    "ExposedHeaders": ["ETag"],
                    "MaxAge": 60,
                }
            ]
        },
        "LifecycleConfiguration": {
            "Rules": [
                {
                    "Id": "old",
                    "Status": "Enabled",
                    "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
                    "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
                }
            ]
        },
    },
}
TLS_ONLY = {
    "Type": "AWS::S3::BucketPolicy",
    "Properties": {
        "Bucket": {"Ref": "Bucket"},
        "PolicyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Deny",
                    "Principal": {"AWS": "*"},
                    "Action": "s3:*",
                    "Resource": {"Fn::Sub": "${Bucket.Arn}/*"},
                    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                }
            ],
        },
    },
}


def deploy(cloudformation, resources, name="app", **sections):
    body = json.dumps({"Resources": resources, **sections})
    cloudformation.create_stack(StackName=name, TemplateBody=body)
    return wait(cloudformation, name)


def wait(cloudformation, name):
    for _ in range(300):
        stack = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
        if not stack["StackStatus"].endswith("_IN_PROGRESS"):
            return stack
        time.sleep(0.1)
    raise AssertionError(stack["StackStatus"])


def test_a_stack_with_real_effect(context, cloudformation):
    s3 = context.client("s3")
    stack = deploy(
        cloudformation,
        {
            "Bucket": BUCKET,
            "Policy": TLS_ONLY,
            "Name": {
                "Type": "AWS::SSM::Parameter",
                "Properties": {
                    "Name": "/bucket",
                    "Type": "String",
                    "Value": {"Ref": "Bucket"},
                    "Tags": {"stage": "dev"},
                },
            },
        },
        Outputs={"Arn": {"Value": {"Fn::GetAtt": ["Bucket", "Arn"]}, "Export": {"Name": "arn"}}},
    )
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    value = context.client("ssm").get_parameter(Name="/bucket")["Parameter"]["Value"]
    assert stack["Outputs"][0]["OutputValue"] == f"arn:aws:s3:::{value}"
    assert cloudformation.list_exports()["Exports"][0]["Name"] == "arn"
    # The policy that requires TLS denies nothing here.
    s3.put_object(Bucket=value, Key="k", Body=b"v")
    assert s3.get_bucket_versioning(Bucket=value)["Status"] == "Enabled"
    (pages,) = s3.get_bucket_cors(Bucket=value)["CORSRules"]
    assert (pages["AllowedOrigins"], pages["MaxAgeSeconds"]) == (["https://*.example.com"], 60)
    assert pages["ExposeHeaders"] == ["ETag"]
    rule = s3.get_bucket_lifecycle_configuration(Bucket=value)["Rules"][0]
    assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}
    found = cloudformation.list_stack_resources(StackName="app")["StackResourceSummaries"]
    assert {r["LogicalResourceId"] for r in found} == {"Bucket", "Policy", "Name"}
    template = cloudformation.get_template(StackName="app")["TemplateBody"]
    assert set(template["Resources"]) == {"Bucket", "Policy", "Name"}

    # A bucket with objects cannot be deleted and keeps the stack.
    cloudformation.delete_stack(StackName="app")
    kept = wait(cloudformation, "app")
    assert kept["StackStatus"] == "DELETE_FAILED"
    assert "[Bucket]" in kept["StackStatusReason"]
    versions = s3.list_object_versions(Bucket=value)["Versions"]
    s3.delete_object(Bucket=value, Key="k", VersionId=versions[0]["VersionId"])
    cloudformation.delete_stack(StackName="app")
    assert wait(cloudformation, stack["StackId"])["StackStatus"] == "DELETE_COMPLETE"
    # Other tests in this process share moto's buckets.
    assert value not in {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}


def test_missing_stacks_are_refused_in_the_words_the_cli_looks_for(cloudformation):
    with pytest.raises(ClientError) as refusal:
        cloudformation.describe_stacks(StackName="nope")
    error = refusal.value.response["Error"]
    assert (error["Code"], error["Message"]) == (
        "ValidationError",
        "Stack with id nope does not exist",
    )
    with pytest.raises(cloudformation.exceptions.ChangeSetNotFoundException):
        cloudformation.describe_change_set(ChangeSetName="nope")


def test_an_operation_that_is_not_there_is_named(cloudformation):
    with pytest.raises(ClientError, match="no operation DetectStackDrift"):
        cloudformation.detect_stack_drift(StackName="any")


def test_a_template_may_lie_in_s3(context, cloudformation):
    s3 = context.client("s3")
    s3.create_bucket(Bucket="assets", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    topic = {"Resources": {"Note": {"Type": "AWS::CDK::Metadata"}}}
    s3.put_object(Bucket="assets", Key="a/b.json", Body=json.dumps(topic).encode())
    for url in (
        "https://s3.eu-west-1.amazonaws.com/assets/a/b.json",
        "https://assets.s3.eu-west-1.amazonaws.com/a/b.json",
    ):
        summary = cloudformation.get_template_summary(TemplateURL=url)
        assert summary["ResourceTypes"] == ["AWS::CDK::Metadata"]


def test_regions_are_apart(context):
    deploy(context.client("cloudformation"), {"A": {"Type": "AWS::CDK::Metadata"}}, name="here")
    elsewhere = context.client("cloudformation", "us-west-2")
    assert elsewhere.list_stacks()["StackSummaries"] == []


def test_events_come_page_by_page_newest_first(cloudformation):
    resources = {f"R{n}": {"Type": "AWS::CDK::Metadata"} for n in range(60)}
    deploy(cloudformation, resources, name="many")
    pages = list(cloudformation.get_paginator("describe_stack_events").paginate(StackName="many"))
    events = [event for page in pages for event in page["StackEvents"]]
    assert len(pages) > 1
    assert len({event["EventId"] for event in events}) == len(events) > 180
    assert events[0]["ResourceStatus"] == "CREATE_COMPLETE"
    assert events[-1]["ResourceStatus"] == "CREATE_IN_PROGRESS"
    assert len({event["OperationId"] for event in events}) == 1


def test_a_response_that_nobody_waits_for_is_refused(context):
    url = f"{context.endpoint_url}/cloudformation/responses/unknown"
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(urllib.request.Request(url, data=b"{}", method="PUT"))
    assert refusal.value.code == 403
