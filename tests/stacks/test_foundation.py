"""Key, buckets, execution role."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from contract.bake_objects import BAKES_PREFIX
from contract.batch_objects import OUTPUT_PREFIX, SHARDS_PREFIX
from contract.names import APP_NAME
from contract.outputs import ARTIFACTS_BUCKET, BATCH_BUCKET
from stage.settings import Settings
from tests.support.synthesis import (
    Stacks,
    Templates,
    arn_ends,
    changed,
    grant,
    listed,
    of_type,
    properties,
    some_templates_of,
    statements,
)

# No ARN exists for these: ECR's token, metrics, traces, and the deliveries of logs.
WITHOUT_AN_ARN = {
    "cloudwatch:DescribeAlarms",
    "cloudwatch:PutMetricData",
    "ecr:GetAuthorizationToken",
    "logs:CreateLogDelivery",
    "logs:DeleteLogDelivery",
    "logs:DescribeLogGroups",
    "logs:DescribeResourcePolicies",
    "logs:GetLogDelivery",
    "logs:ListLogDeliveries",
    "logs:PutResourcePolicy",
    "logs:UpdateLogDelivery",
    "xray:GetSamplingRules",
    "xray:GetSamplingTargets",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
}


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


def test_data_buckets_log_their_accesses_each_below_its_own_prefix(
    stage_templates: Templates,
) -> None:
    logged = {
        name: bucket["Properties"]["LoggingConfiguration"]
        for name, bucket in of_type(stage_templates["Foundation"], "AWS::S3::Bucket").items()
        if "LoggingConfiguration" in bucket["Properties"]
    }
    assert len(logged) == 2
    assert all("AccessLogs" in log["DestinationBucketName"]["Ref"] for log in logged.values())
    assert {log["LogFilePrefix"] for log in logged.values()} == {"artifacts/", "batch/"}


def test_the_key_is_rotated(stage_templates: Templates) -> None:
    (key,) = properties(stage_templates["Foundation"], "AWS::KMS::Key")
    assert key["EnableKeyRotation"] is True


def test_nothing_expires_an_artifact_in_use(stage_templates: Templates) -> None:
    (rules,) = (
        bucket["Properties"]["LifecycleConfiguration"]["Rules"]
        for name, bucket in of_type(stage_templates["Foundation"], "AWS::S3::Bucket").items()
        if "Artifacts" in name
    )
    assert all("ExpirationInDays" not in rule for rule in rules)
    assert all("NoncurrentVersionExpiration" in rule for rule in rules)


def test_only_the_batch_bucket_notifies_event_bridge(stage_templates: Templates) -> None:
    template = stage_templates["Foundation"]
    notifying = {
        name: bucket["Properties"].get("NotificationConfiguration")
        for name, bucket in of_type(template, "AWS::S3::Bucket").items()
    }
    (batch,) = (name for name, configuration in notifying.items() if configuration)
    assert "Batch" in batch
    assert notifying[batch] == {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}
    # The CDK's own option would add a function that may change any bucket of the account.
    assert not of_type(template, "Custom::S3BucketNotifications")


@pytest.mark.parametrize("days", [1, 30, 400])
def test_objects_in_the_batch_bucket_expire_and_shards_soon(days: int) -> None:
    rules = _lifecycle("StorageBatch", days)
    assert all(rule["Status"] == "Enabled" for rule in rules)
    expiring = {r.get("Prefix"): r["ExpirationInDays"] for r in rules if "ExpirationInDays" in r}
    assert expiring == {None: days, SHARDS_PREFIX: min(days, 7)}


@pytest.mark.parametrize("days", [1, 30])
def test_no_version_of_a_users_text_outlives_the_retention_by_more_than_a_day(days: int) -> None:
    everywhere = [rule for rule in _lifecycle("StorageBatch", days) if "Prefix" not in rule]
    # What expires becomes a noncurrent version first, for at least a day.
    assert [
        rule["NoncurrentVersionExpiration"]["NoncurrentDays"]
        for rule in everywhere
        if "NoncurrentVersionExpiration" in rule
    ] == [1]
    # The parts of an aborted upload are texts too, and would cost money forever.
    assert [
        rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"]
        for rule in everywhere
        if "AbortIncompleteMultipartUpload" in rule
    ] == [min(days, 7)]


def test_access_logs_are_gone_a_day_after_they_expire() -> None:
    rules = _lifecycle("StorageAccessLogs", 30)
    assert {rule.get("ExpirationInDays") for rule in rules} == {None, 90}
    kept = [rule["NoncurrentVersionExpiration"] for rule in rules if "ExpirationInDays" not in rule]
    assert kept == [{"NoncurrentDays": 1}]


def _lifecycle(bucket: str, retention_days: int) -> list[dict[str, Any]]:
    settings = changed("dev", batch={"retention_days": retention_days})
    found = of_type(some_templates_of(settings)["Foundation"], "AWS::S3::Bucket")
    (rules,) = (
        each["Properties"]["LifecycleConfiguration"]["Rules"]
        for name, each in found.items()
        if name.startswith(bucket)
    )
    return list(rules)


def test_the_buckets_are_outputs_under_fixed_names(stage_templates: Templates) -> None:
    template = stage_templates["Foundation"]
    for name, part in ((ARTIFACTS_BUCKET, "StorageArtifacts"), (BATCH_BUCKET, "StorageBatch")):
        bucket = template["Outputs"][name]["Value"]["Ref"]
        assert bucket in of_type(template, "AWS::S3::Bucket")
        assert bucket.startswith(part)


@pytest.mark.parametrize(
    ("stage", "kept", "emptied"), [("dev", "Delete", 3), ("prod", "RetainExceptOnCreate", 0)]
)
def test_key_and_buckets_share_one_removal_policy(
    templates: Callable[[str], Templates], stage: str, kept: str, emptied: int
) -> None:
    template = templates(stage)["Foundation"]
    resources = of_type(template, "AWS::S3::Bucket") | of_type(template, "AWS::KMS::Key")
    # What a failed first deployment has made goes in any case, or it would bar the next one.
    assert {r["DeletionPolicy"] for r in resources.values()} == {kept}
    assert {r["UpdateReplacePolicy"] for r in resources.values()} == {
        "Retain" if stage == "prod" else "Delete"
    }
    assert len(of_type(template, "Custom::EmptyBucket")) == emptied


@pytest.mark.parametrize(("stage", "protected"), [("dev", False), ("prod", True)])
def test_stacks_that_keep_their_data_cannot_be_deleted_by_mistake(
    stacks: Callable[[str], Stacks], stage: str, protected: bool
) -> None:
    assert {stack.termination_protection for stack in stacks(stage).values()} == {protected}


def test_every_stack_has_the_tags_of_the_settings(stacks: Callable[[str], Stacks]) -> None:
    for stack in stacks("prod").values():
        assert stack.tags == {
            "application": APP_NAME,
            "stage": "prod",
            "cost-centre": "production",
        }


def test_a_bucket_is_emptied_before_permissions_and_tls_rule_are_deleted(
    templates: Callable[[str], Templates],
) -> None:
    template = templates("dev")["Foundation"]
    policies = {
        p["Properties"]["Bucket"]["Ref"]: name
        for name, p in of_type(template, "AWS::S3::BucketPolicy").items()
    }
    for emptying in of_type(template, "Custom::EmptyBucket").values():
        bucket = emptying["Properties"]["BucketName"]["Ref"]
        waits_for = set(emptying["DependsOn"])
        assert {bucket, policies[bucket]} <= waits_for
        assert [n for n in waits_for if n.startswith("EmptyBucketsEmptyBucketRoleDefaultPolicy")]


def test_the_access_logs_are_emptied_last(templates: Callable[[str], Templates]) -> None:
    """Emptying the others is logged there. What depends on a resource is deleted before it."""
    found = of_type(templates("dev")["Foundation"], "Custom::EmptyBucket")
    (logs,) = (name for name in found if "AccessLogs" in name)
    for name, emptying in found.items():
        assert (logs in emptying["DependsOn"]) is (name != logs)


def test_the_execution_role_is_whole_before_anything_uses_it(stage_templates: Templates) -> None:
    template = stage_templates["Foundation"]
    (role,) = (
        values
        for values in properties(template, "AWS::IAM::Role")
        if values["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]
        == {"Service": "sagemaker.amazonaws.com"}
    )
    assert {p["PolicyName"] for p in role["Policies"]} == {"Data", "Image", "Logs", "Alarms"}
    assert "ManagedPolicyArns" not in role


def test_sagemaker_may_read_alarms_however_it_asks_for_them(stage_templates: Templates) -> None:
    """Otherwise no update is rolled back. By name a request has an ARN, in a list it has none."""
    allowed = grant(stage_templates["Foundation"], "ExecutionRole", "cloudwatch:DescribeAlarms")
    assert allowed["Resource"] == "*"


def test_no_statement_allows_all_actions_of_a_service(stage_templates: Templates) -> None:
    for template in stage_templates.values():
        for name, statement in statements(template):
            actions = statement["Action"]
            for action in [actions] if isinstance(actions, str) else actions:
                assert not action.endswith(":*"), (name, action)
                assert action != "*", name


def test_all_resources_are_allowed_only_where_there_is_no_arn(stage_templates: Templates) -> None:
    for template in stage_templates.values():
        for name, allowed in statements(template):
            if "*" in listed(allowed["Resource"]):
                assert set(listed(allowed["Action"])) <= WITHOUT_AN_ARN, name


def test_the_execution_role_reads_and_writes_below_its_own_prefixes(
    settings: Settings, stage_templates: Templates
) -> None:
    template = stage_templates["Foundation"]
    weights = f"{settings.lock.weights_bucket(settings.region)}/"
    assert arn_ends(template, "ExecutionRole", "s3:GetObject") == {
        "/*",  # of our own two buckets
        f"-{settings.region}/{APP_NAME}/{settings.stage}/*",  # of what the CDK published
        f"arn:aws:s3:::{weights}{settings.jumpstart_model.weights_key}*",
    }
    assert arn_ends(template, "ExecutionRole", "s3:PutObject") == {
        f"/{BAKES_PREFIX}*",
        f"/{OUTPUT_PREFIX}*",
    }


def test_other_apps_assets_and_models_are_listed_by_nobody(
    settings: Settings, stage_templates: Templates
) -> None:
    weights = settings.lock.weights_bucket(settings.region)
    allowed = {
        "weights": f"{settings.jumpstart_model.weights_key.removesuffix('/')}*",
        "assets": f"{APP_NAME}/{settings.stage}/*",
    }
    found: dict[str, set[str]] = {}
    for template in stage_templates.values():
        for _, granted in statements(template):
            if "s3:ListBucket" not in listed(granted["Action"]):
                continue
            for arn in map(str, listed(granted["Resource"])):
                shared = "assets" if "-assets-" in arn else "weights" if weights in arn else None
                if shared:
                    condition = granted.get("Condition", {}).get("StringLike", {})
                    found.setdefault(shared, set()).add(condition.get("s3:prefix", "everything"))
    assert found == {name: {prefix} for name, prefix in allowed.items()}


def test_the_execution_role_pulls_the_image_that_is_run(
    stage: str, stage_templates: Templates
) -> None:
    (bake,) = properties(stage_templates["Model"], "Custom::Bake")
    host, _, image = bake["TrainingJob"]["AlgorithmSpecification"]["TrainingImage"].partition("/")
    account, region = host.split(".")[0], host.split(".")[3]
    repository = image.partition(":")[0]
    pulled = arn_ends(stage_templates["Foundation"], "ExecutionRole", "ecr:BatchGetImage")
    assert pulled == {f"arn:aws:ecr:{region}:{account}:repository/{repository}"}


def test_the_execution_roles_wide_permissions_are_conditional(stage_templates: Templates) -> None:
    template = stage_templates["Foundation"]
    volumes = grant(template, "ExecutionRole", "kms:CreateGrant")
    assert volumes["Condition"] == {"Bool": {"kms:GrantIsForAWSResource": "true"}}
    metrics = grant(template, "ExecutionRole", "cloudwatch:PutMetricData")
    assert metrics["Condition"] == {"StringLike": {"cloudwatch:namespace": "/aws/sagemaker/*"}}


def test_no_policy_names_an_asset_by_its_hash(stage_templates: Templates) -> None:
    """Otherwise every new corpus would change a policy."""
    for template in stage_templates.values():
        for name, statement in statements(template):
            resources = str(statement["Resource"])
            assert ".csv" not in resources, name
            assert ".zip" not in resources, name
