"""Who may write to the topic, who is subscribed, and that every alarm uses it."""

from __future__ import annotations

import json
import re
from typing import Any

from contract.names import Names
from contract.outputs import TOPIC_ARN
from stacks.foundation.stack import FoundationStack
from stage.settings import load_settings
from tests.support.synthesis import Templates, listed, new_app, of_type, properties

# Where a description may send its reader.
REMEDY = re.compile(r"\b(log|make|events|dashboard|report|[Rr]aise|[Dd]eploy|needed|bucket)\b")
ACCOUNT = {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}


def _statements(template: dict[str, Any]) -> list[dict[str, Any]]:
    (policy,) = properties(template, "AWS::SNS::TopicPolicy")
    (topic,) = of_type(template, "AWS::SNS::Topic")
    assert policy["Topics"] == [{"Ref": topic}]
    statements = policy["PolicyDocument"]["Statement"]
    assert all(statement["Resource"] == {"Ref": topic} for statement in statements)
    return list(statements)


def _publishers(template: dict[str, Any]) -> set[str]:
    return {
        service
        for statement in _statements(template)
        if statement["Effect"] == "Allow"
        for service in listed(statement["Principal"]["Service"])
    }


def test_the_topic_is_encrypted_and_refuses_plain_http(
    stage_templates: Templates,
) -> None:
    template = stage_templates["Foundation"]
    (topic,) = properties(template, "AWS::SNS::Topic")
    (key,) = of_type(template, "AWS::KMS::Key")
    assert topic["KmsMasterKeyId"] == {"Fn::GetAtt": [key, "Arn"]}
    (denied,) = (s for s in _statements(template) if s["Effect"] == "Deny")
    assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert denied["Principal"] == "*"


def test_alarms_write_to_it_and_budgets_if_there_are_any(
    stage_templates: Templates, everything: Templates
) -> None:
    assert _publishers(stage_templates["Foundation"]) == {"cloudwatch.amazonaws.com"}
    assert _publishers(everything["Foundation"]) == {
        "cloudwatch.amazonaws.com",
        "budgets.amazonaws.com",
    }


def test_no_other_account_writes_to_it(everything: Templates) -> None:
    for statement in _statements(everything["Foundation"]):
        if statement["Effect"] == "Allow":
            assert statement["Action"] == "sns:Publish"
            assert statement["Condition"] == {"StringEquals": ACCOUNT}


def test_its_publishers_may_use_its_key_for_topics_alone(everything: Templates) -> None:
    """Otherwise an alarm goes off and nobody is notified."""
    (key,) = properties(everything["Foundation"], "AWS::KMS::Key")
    granted = [s for s in key["KeyPolicy"]["Statement"] if "aws:sns:topicArn" in json.dumps(s)]
    services = {service for s in granted for service in listed(s["Principal"]["Service"])}
    assert services == _publishers(everything["Foundation"])
    for statement in granted:
        assert set(statement["Action"]) == {"kms:Decrypt", "kms:GenerateDataKey*"}
        assert statement["Condition"]["StringEquals"] == ACCOUNT
        topics = statement["Condition"]["ArnLike"]["kms:EncryptionContext:aws:sns:topicArn"]
        assert topics["Fn::Join"][1][0].startswith("arn:aws:sns:us-east-1:")


def test_each_email_of_the_settings_is_subscribed(everything: Templates) -> None:
    subscriptions = properties(everything["Foundation"], "AWS::SNS::Subscription")
    assert {s["Protocol"] for s in subscriptions} == {"email"}
    assert {s["Endpoint"] for s in subscriptions} == {"a@example.com", "b@example.com"}


def test_the_topic_is_exported_even_without_users() -> None:
    """An export that disappears with its last user blocks the update in which it disappears."""
    app = new_app()
    FoundationStack(app, settings=load_settings("dev"))
    template = app.synth().stacks[0].template
    (topic,) = of_type(template, "AWS::SNS::Topic")
    outputs = [o for o in template["Outputs"].values() if o["Value"] == {"Ref": topic}]
    assert any("Export" in output for output in outputs)
    assert template["Outputs"][TOPIC_ARN]["Value"] == {"Ref": topic}


def test_every_alarm_notifies_the_topic_and_says_what_to_do(
    stage_templates: Templates, everything: Templates
) -> None:
    for templates in (stage_templates, everything):
        exported = {
            output["Export"]["Name"]
            for output in templates["Foundation"]["Outputs"].values()
            if "Export" in output and "NotificationsTopic" in str(output["Value"])
        }
        for template in templates.values():
            for name, alarm in of_type(template, "AWS::CloudWatch::Alarm").items():
                actions = alarm["Properties"]["AlarmActions"]
                assert {action["Fn::ImportValue"] for action in actions} == exported, name
                description = alarm["Properties"]["AlarmDescription"]
                assert description.endswith("."), name
                assert REMEDY.search(description), name


def test_an_alarm_is_named_after_its_place(everything: Templates) -> None:
    """Another place means another logical id, so no two alarms ever need the same name."""
    names = [
        (stack, logical_id, alarm["Properties"]["AlarmName"])
        for stack, template in everything.items()
        for logical_id, alarm in of_type(template, "AWS::CloudWatch::Alarm").items()
    ]
    assert len({name for _, _, name in names}) == len(names)
    for stack, logical_id, name in names:
        prefix = f"{Names('dev').stack(stack)}-"
        assert name.startswith(prefix)
        place = name.removeprefix(prefix).replace("-", "")
        assert logical_id.startswith(place)


def test_missing_data_does_not_raise_an_alarm(stage_templates: Templates) -> None:
    """There may be no requests at night, and an endpoint that is switched off has no metrics."""
    for template in stage_templates.values():
        for alarm in properties(template, "AWS::CloudWatch::Alarm"):
            assert alarm["TreatMissingData"] == "notBreaching", alarm["AlarmName"]


def test_logs_expire(everything: Templates) -> None:
    for template in everything.values():
        for name, group in of_type(template, "AWS::Logs::LogGroup").items():
            days = 14 if name == "Unanswered" else 90
            assert group["Properties"]["RetentionInDays"] == days, name
        for name, function in of_type(template, "AWS::Lambda::Function").items():
            assert function["Properties"]["LoggingConfig"]["LogGroup"], name
