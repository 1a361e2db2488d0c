"""What encrypts the log groups, and which log groups may use the key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from local_aws.iam.conditions import arn_matches
from tests.support.synthesis import Templates, listed, of_type, properties

ACCOUNT = "123456789012"


def _groups(templates: Templates) -> Iterator[tuple[str, dict[str, Any]]]:
    """The log groups by the names that CloudFormation will give them."""
    for part, template in templates.items():
        for logical_id, group in of_type(template, "AWS::Logs::LogGroup").items():
            values = group["Properties"]
            yield values.get("LogGroupName", f"FaqSearch-dev-{part}-{logical_id}-Ab1"), values


def _of_the_key(templates: Templates) -> list[str]:
    """The ARNs of log groups for which CloudWatch Logs may use the stage's key."""
    (key,) = properties(templates["Foundation"], "AWS::KMS::Key")
    (statement,) = (
        each
        for each in key["KeyPolicy"]["Statement"]
        if "logs." in str(each["Principal"].get("Service"))
    )
    assert statement["Principal"] == {"Service": "logs.us-east-1.amazonaws.com"}
    assert "kms:*" not in statement["Action"]
    assert statement["Condition"].keys() == {"ArnLike"}
    (patterns,) = statement["Condition"]["ArnLike"].values()
    return [
        "".join(part if isinstance(part, str) else ACCOUNT for part in arn["Fn::Join"][1])
        for arn in listed(patterns)
    ]


def _arn(group: str, account: str = ACCOUNT) -> str:
    return f"arn:aws:logs:us-east-1:{account}:log-group:{group}"


def test_logs_have_the_services_key_unless_the_settings_want_the_stages(
    stage: str, stage_templates: Templates
) -> None:
    encrypted = {"KmsKeyId" in values for _, values in _groups(stage_templates)}
    assert encrypted == {stage == "prod"}


def test_every_log_group_can_have_the_stages_key(everything: Templates) -> None:
    (key,) = of_type(everything["Foundation"], "AWS::KMS::Key")
    names = [name for name, _ in _groups(everything)]
    assert len(names) > 12
    for name, values in _groups(everything):
        reference = str(values["KmsKeyId"])
        assert key in reference, name
        assert any(arn_matches(pattern, _arn(name)) for pattern in _of_the_key(everything)), name


def test_no_other_log_group_may_use_the_key(stage_templates: Templates, stage: str) -> None:
    """Whether or not the settings want it: what was encrypted with it has to stay readable."""
    patterns = _of_the_key(stage_templates)
    own = f"FaqSearch-{stage}-Model-BakeLogs-x"
    assert any(arn_matches(pattern, _arn(own)) for pattern in patterns)
    for other in (
        _arn(own, "210987654321"),
        _arn(f"FaqSearch-{stage}2-Model-BakeLogs-x"),
        _arn("FaqSearch-other-Model-BakeLogs-x"),
        _arn(f"/aws/vendedlogs/states/faq-search-{stage}-bakery"),
        _arn("/aws/lambda/another"),
        _arn("/faq-search/other/unanswered"),
    ):
        assert not [pattern for pattern in patterns if arn_matches(pattern, other)], other
