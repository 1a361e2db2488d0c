"""Services with few types: alarms, keys, log groups, topics, rules and so on.

Nothing is encrypted with the keys and nothing runs by the clock. Alarms measure nothing: their
states come from SetAlarmState.
"""

from __future__ import annotations

import json

from local_aws import moto_adapter
from local_aws.cloudformation.resources.base import (
    Declared,
    Properties,
    Provider,
    Request,
    Result,
    is_true,
    tag_list,
    tag_map,
    text,
)

_TOPIC_ATTRIBUTES = ("DisplayName", "KmsMasterKeyId", "SignatureVersion", "TracingConfig")


def _put_repository_policies(request: Request, name: str) -> None:
    lifecycle = request.properties.get("LifecyclePolicy")
    if lifecycle:
        request.call("ecr", "PutLifecyclePolicy", {**lifecycle, "RepositoryName": name})
    policy = request.properties.get("RepositoryPolicyText")
    if policy:
        properties = {"RepositoryName": name, "PolicyText": policy}
        request.call("ecr", "SetRepositoryPolicy", properties)


class Rule(Provider):
    """A rule of EventBridge's default bus, with its targets."""

    def is_idle(self, properties: Properties) -> bool:
        return "ScheduleExpression" in properties

    def create(self, request: Request) -> Result:
        return self._put(request, request.properties.get("Name") or request.name())

    def update(self, request: Request) -> Result:
        kept = {target["Id"] for target in request.properties.get("Targets", [])}
        removed = [t["Id"] for t in request.old.get("Targets", []) if t["Id"] not in kept]
        self._remove_targets(request, removed)
        return self._put(request, request.physical_id)

    def delete(self, request: Request) -> None:
        targets = [target["Id"] for target in request.properties.get("Targets", [])]
        self._remove_targets(request, targets)
        request.remove("events", "DeleteRule", {"Name": request.physical_id})

    def _put(self, request: Request, name: str) -> Result:
        made = request.call("events", "PutRule", {**request.properties, "Name": name})
        if request.properties.get("Targets"):
            request.call("events", "PutTargets", {**request.properties, "Rule": name})
        return Result(name, {"Arn": made["RuleArn"]})

    def _remove_targets(self, request: Request, ids: list[str]) -> None:
        if ids:
            properties = {"Rule": request.physical_id, "Ids": ids}
            request.remove("events", "RemoveTargets", properties)


def _key_tags(request: Request) -> list[Properties]:
    tags = tag_map(request.properties)
    return [{"TagKey": key, "TagValue": value} for key, value in tags.items()]


def _key(request: Request) -> Properties:
    tagged = {**request.properties, "Tags": _key_tags(request)}
    return {**tagged, "Policy": tagged["KeyPolicy"]} if "KeyPolicy" in tagged else tagged


def _settle_key(request: Request, key_id: str) -> None:
    properties, key = request.properties, {"KeyId": key_id}
    request.call("kms", "UpdateKeyDescription", {"Description": "", **properties, **key})
    if "KeyPolicy" in properties:
        policy = {"PolicyName": "default", "Policy": properties["KeyPolicy"]}
        request.call("kms", "PutKeyPolicy", {**key, **policy})
    request.retag("kms", "UntagResource", "TagResource", key, _key_tags(request))
    rotates = is_true(properties.get("EnableKeyRotation"))
    request.call("kms", "EnableKeyRotation" if rotates else "DisableKeyRotation", key)


def _settle_log_group(request: Request, name: str) -> None:
    # moto has neither AssociateKmsKey nor DisassociateKmsKey.
    moto_adapter.set_key_of_log_group(name, request.region, request.properties.get("KmsKeyId"))
    kept = "RetentionInDays" in request.properties
    operation = "PutRetentionPolicy" if kept else "DeleteRetentionPolicy"
    request.call("logs", operation, {**request.properties, "LogGroupName": name})
    arn = f"arn:aws:logs:{request.region}:{request.context.account_id}:log-group:{name}"
    tags = tag_map(request.properties)
    request.retag("logs", "UntagResource", "TagResource", {"ResourceArn": arn}, tags)


def _settle_topic(request: Request, arn: str) -> None:
    for key in _TOPIC_ATTRIBUTES:
        value = request.properties.get(key, "")
        if value != request.old.get(key, ""):
            _set_attribute(request, arn, key, value)


class TopicPolicy(Provider):
    """A policy of topics; it is left in place when deleted, since nothing evaluates it here."""

    def create(self, request: Request) -> Result:
        self.update(request)
        name = request.name()
        return Result(name, {"Id": name})

    def update(self, request: Request) -> None:
        for topic in request.properties["Topics"]:
            _set_attribute(request, topic, "Policy", request.properties["PolicyDocument"])


def _set_attribute(request: Request, topic: str, name: str, value: object) -> None:
    properties = {"TopicArn": topic, "AttributeName": name, "AttributeValue": value}
    request.call("sns", "SetTopicAttributes", properties)


class Parameter(Provider):
    """A parameter of SSM."""

    tags = "map"

    def create(self, request: Request) -> Result:
        name = request.properties.get("Name") or request.name(1000)
        return self._put(request, name, {"Overwrite": False, "Tags": tag_list(request.properties)})

    def update(self, request: Request) -> Result:
        resource = {"ResourceType": "Parameter", "ResourceId": request.physical_id}
        request.retag(
            "ssm",
            "RemoveTagsFromResource",
            "AddTagsToResource",
            resource,
            tag_list(request.properties),
        )
        return self._put(request, request.physical_id, {"Overwrite": True, "Tags": []})

    def delete(self, request: Request) -> None:
        request.remove("ssm", "DeleteParameter", {"Name": request.physical_id})

    def _put(self, request: Request, name: str, more: Properties) -> Result:
        request.call(
            "ssm", "PutParameter", {"Description": "", **request.properties, "Name": name, **more}
        )
        kind, value = request.properties["Type"], text(request.properties["Value"])
        return Result(name, {"Type": kind, "Value": value})


def _state_machine(request: Request) -> Properties:
    """The properties with the definition as text, from wherever the template has it."""
    given = request.properties
    if "DefinitionS3Location" in given:
        place = given["DefinitionS3Location"]
        found = request.client("s3").get_object(Bucket=place["Bucket"], Key=place["Key"])
        definition = str(found["Body"].read().decode())
    elif "DefinitionString" in given:
        definition = str(given["DefinitionString"])
    else:
        definition = json.dumps(given["Definition"])
    for name, value in given.get("DefinitionSubstitutions", {}).items():
        definition = definition.replace("${" + name + "}", text(value))
    machine = {
        "Name": given.get("StateMachineName"),
        "Definition": definition,
        "RoleArn": given["RoleArn"],
        "Type": given.get("StateMachineType", "STANDARD"),
        "LoggingConfiguration": given.get("LoggingConfiguration"),
        "TracingConfiguration": given.get("TracingConfiguration"),
        "Tags": given.get("Tags", []),
    }
    return {key: value for key, value in machine.items() if value is not None}


PROVIDERS = {
    "AWS::CloudWatch::Alarm": Declared(
        "cloudwatch",
        ("PutMetricAlarm", "PutMetricAlarm", "DeleteAlarms"),
        id="{AlarmName}",
        key={"AlarmName": "{id}", "AlarmNames": "{id}"},
        attributes={"Arn": "arn:aws:cloudwatch:{region}:{account}:alarm:{AlarmName}"},
        name="AlarmName",
        longest_name=255,
        tags="list",
    ),
    "AWS::CloudWatch::Dashboard": Declared(
        "cloudwatch",
        ("PutDashboard", "PutDashboard", "DeleteDashboards"),
        id="{DashboardName}",
        key={"DashboardName": "{id}", "DashboardNames": "{id}"},
        name="DashboardName",
        longest_name=255,
    ),
    # In the bootstrap stack; nothing is pushed to it here.
    "AWS::ECR::Repository": Declared(
        "ecr",
        ("CreateRepository", "", "DeleteRepository"),
        id="{RepositoryName}",
        key={"RepositoryName": "{id}", "Force": "true"},
        attributes={
            "Arn": "arn:aws:ecr:{region}:{account}:repository/{RepositoryName}",
            "RepositoryUri": "{account}.dkr.ecr.{region}.amazonaws.com/{RepositoryName}",
        },
        name="RepositoryName",
        longest_name=256,
        lower_case=True,
        settle=_put_repository_policies,
    ),
    "AWS::Events::Rule": Rule(),
    "AWS::KMS::Alias": Declared(
        "kms",
        ("CreateAlias", "UpdateAlias", "DeleteAlias"),
        id="{AliasName}",
        key={"AliasName": "{id}"},
    ),
    # Deletion is only scheduled, as on AWS.
    "AWS::KMS::Key": Declared(
        "kms",
        ("CreateKey", "", "ScheduleKeyDeletion"),
        id="{KeyMetadata[KeyId]}",
        key={"KeyId": "{id}"},
        attributes={"Arn": "{KeyMetadata[Arn]}", "KeyId": "{KeyMetadata[KeyId]}"},
        tags="list",
        prepare=_key,
        settle=_settle_key,
    ),
    "AWS::Logs::LogGroup": Declared(
        "logs",
        ("CreateLogGroup", "", "DeleteLogGroup"),
        id="{LogGroupName}",
        key={"LogGroupName": "{id}"},
        attributes={"Arn": "arn:aws:logs:{region}:{account}:log-group:{LogGroupName}:*"},
        name="LogGroupName",
        longest_name=512,
        tags="list",
        settle=_settle_log_group,
    ),
    "AWS::SNS::Subscription": Declared(
        "sns",
        ("Subscribe", "", "Unsubscribe"),
        id="{SubscriptionArn}",
        key={"SubscriptionArn": "{id}"},
        attributes={"Arn": "{SubscriptionArn}"},
        prepare=lambda request: {**request.properties, "ReturnSubscriptionArn": True},
    ),
    "AWS::SNS::Topic": Declared(
        "sns",
        ("CreateTopic", "", "DeleteTopic"),
        id="{TopicArn}",
        key={"TopicArn": "{id}"},
        attributes={"TopicArn": "{TopicArn}", "TopicName": "{Name}"},
        name="Name",
        longest_name=256,
        tags="list",
        prepare=lambda request: {"Name": request.properties.get("TopicName"), **request.properties},
        settle=_settle_topic,
    ),
    "AWS::SNS::TopicPolicy": TopicPolicy(),
    "AWS::SSM::Parameter": Parameter(),
    "AWS::Scheduler::Schedule": Declared(
        "scheduler",
        ("CreateSchedule", "UpdateSchedule", "DeleteSchedule"),
        id="{Name}",
        key={"Name": "{id}"},
        attributes={"Arn": "{ScheduleArn}"},
        name="Name",
        idle=True,
    ),
    "AWS::StepFunctions::StateMachine": Declared(
        "stepfunctions",
        ("CreateStateMachine", "UpdateStateMachine", "DeleteStateMachine"),
        id="{stateMachineArn}",
        key={"StateMachineArn": "{id}"},
        attributes={"Arn": "{stateMachineArn}", "Name": "{Name}"},
        name="Name",
        longest_name=80,
        tags="list",
        prepare=_state_machine,
    ),
}
