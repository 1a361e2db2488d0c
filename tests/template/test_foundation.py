"""Key, buckets, execution role."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.template.synthesis import Templates, of_type, properties, statements


def test_every_bucket_is_private_versioned_encrypted_and_tls_only(
    stage_templates: Templates,
) -> None:
    template = stage_templates["Foundation"]
    buckets = of_type(template, "AWS::S3::Bucket")
    assert len(buckets) == 3
    for bucket in buckets.values():
        values = bucket["Properties"]
        assert set(values["PublicAccessBlockConfiguration"].values()) == {True}
        assert values["VersioningConfiguration"] == {"Status": "Enabled"}
        assert values["BucketEncryption"]
    protected = {
        policy["Bucket"]["Ref"]
        for policy in properties(template, "AWS::S3::BucketPolicy")
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Deny"
        and statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    }
    assert protected == set(buckets)


def test_data_is_encrypted_with_the_key_and_access_logs_with_s3s(
    stage_templates: Templates,
) -> None:
    algorithms = {
        name: bucket["Properties"]["BucketEncryption"]["ServerSideEncryptionConfiguration"][0][
            "ServerSideEncryptionByDefault"
        ]["SSEAlgorithm"]
        for name, bucket in of_type(stage_templates["Foundation"], "AWS::S3::Bucket").items()
    }
    assert sorted(algorithms.values()) == ["AES256", "aws:kms", "aws:kms"]
    (logs,) = (name for name, algorithm in algorithms.items() if algorithm == "AES256")
    assert "AccessLogs" in logs


def test_nothing_expires_an_artifact_in_use(stage_templates: Templates) -> None:
    (rules,) = (
        bucket["Properties"]["LifecycleConfiguration"]["Rules"]
        for name, bucket in of_type(stage_templates["Foundation"], "AWS::S3::Bucket").items()
        if "Artifacts" in name
    )
    assert all("ExpirationInDays" not in rule for rule in rules)
    assert all("NoncurrentVersionExpiration" in rule for rule in rules)


@pytest.mark.parametrize(
    ("stage", "kept", "emptied"), [("dev", "Delete", 3), ("prod", "Retain", 0)]
)
def test_key_and_buckets_share_one_removal_policy(
    templates: Callable[[str], Templates], stage: str, kept: str, emptied: int
) -> None:
    template = templates(stage)["Foundation"]
    resources = of_type(template, "AWS::S3::Bucket") | of_type(template, "AWS::KMS::Key")
    assert {r["DeletionPolicy"] for r in resources.values()} == {kept}
    assert len(of_type(template, "Custom::EmptyBucket")) == emptied


def test_the_execution_role_is_whole_before_anything_uses_it(stage_templates: Templates) -> None:
    template = stage_templates["Foundation"]
    (role,) = (
        values
        for values in properties(template, "AWS::IAM::Role")
        if values["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]
        == {"Service": "sagemaker.amazonaws.com"}
    )
    trust = role["AssumeRolePolicyDocument"]["Statement"]
    assert [s["Condition"] for s in trust] == [
        {"StringEquals": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}}
    ]
    assert {p["PolicyName"] for p in role["Policies"]} == {"Data", "Image", "Logs"}
    assert "ManagedPolicyArns" not in role


def test_no_statement_allows_all_actions_of_a_service(stage_templates: Templates) -> None:
    for template in stage_templates.values():
        for name, statement in statements(template):
            actions = statement["Action"]
            for action in [actions] if isinstance(actions, str) else actions:
                assert not action.endswith(":*"), (name, action)
                assert action != "*", name


def test_no_policy_names_an_asset_by_its_hash(stage_templates: Templates) -> None:
    """Or every new corpus would change a policy."""
    for template in stage_templates.values():
        for name, statement in statements(template):
            resources = str(statement["Resource"])
            assert ".csv" not in resources, name
            assert ".zip" not in resources, name
