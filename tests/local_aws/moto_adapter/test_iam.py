"""AWS's managed policies, which a deployed app's roles refer to."""

from __future__ import annotations

import boto3
from moto import mock_aws
from moto.iam import models

from local_aws import moto_adapter

ARN = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"


def attach():
    """Attaches it to a new role; returns its counts before and after, and the role's policies."""
    iam = boto3.client("iam", region_name="us-east-1")
    before = iam.get_policy(PolicyArn=ARN)["Policy"]["AttachmentCount"]
    iam.create_role(RoleName="r", AssumeRolePolicyDocument="{}")
    iam.attach_role_policy(RoleName="r", PolicyArn=ARN)
    attached = iam.list_attached_role_policies(RoleName="r")["AttachedPolicies"]
    after = iam.get_policy(PolicyArn=ARN)["Policy"]["AttachmentCount"]
    return before, after, [policy["PolicyArn"] for policy in attached]


def test_they_can_be_attached_and_are_as_new_in_the_next_life():
    moto_adapter.create_wsgi_app()
    for _ in range(2):
        with mock_aws():
            assert attach() == (0, 1, [ARN])


def test_their_list_is_read_once(monkeypatch):
    moto_adapter.create_wsgi_app()
    with mock_aws():
        attach()
    monkeypatch.setattr(models, "aws_managed_policies_data", "not JSON")
    with mock_aws():
        attach()


def test_each_partition_has_them_with_its_arns():
    moto_adapter.create_wsgi_app()
    with mock_aws():
        attach()
        china = boto3.client("iam", region_name="cn-north-1")
        arn = ARN.replace("arn:aws:", "arn:aws-cn:")
        assert china.get_policy(PolicyArn=arn)["Policy"]["Arn"] == arn
