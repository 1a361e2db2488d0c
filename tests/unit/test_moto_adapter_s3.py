"""moto's S3 and IAM as a deployed app needs them."""

from __future__ import annotations

import json

import boto3
import pytest
from moto import mock_aws

from local_aws import moto_adapter


@pytest.fixture(autouse=True)
def moto_in_process():
    moto_adapter.create_wsgi_app()
    with mock_aws():
        yield


def test_a_policy_that_demands_tls_denies_nothing():
    s3 = boto3.client("s3", region_name="us-east-1")
    s3.create_bucket(Bucket="kept")
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


def test_aws_managed_policies_can_be_attached():
    iam = boto3.client("iam", region_name="us-east-1")
    iam.create_role(RoleName="r", AssumeRolePolicyDocument="{}")
    arn = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
    iam.attach_role_policy(RoleName="r", PolicyArn=arn)
    attached = iam.list_attached_role_policies(RoleName="r")["AttachedPolicies"]
    assert [policy["PolicyArn"] for policy in attached] == [arn]
