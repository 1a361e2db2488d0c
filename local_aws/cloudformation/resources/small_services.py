"""Services with few types: alarms, keys, log groups, topics, rules and so on.

Nothing is encrypted with the keys and nothing runs by the clock. Alarms measure nothing: their
states come from SetAlarmState.
"""

from __future__ import annotations

import json

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


class Repository(Provider):
    """A repository of ECR; the bootstrap stack has one, to which nothing is pushed here."""

    def create(self, request: Request) -> Result:
        name = request.properties.get("RepositoryName") or request.name(256).lower()
        request.call("ecr", "CreateRepository", {"RepositoryName": name})
        self._put_policies(request, name)
        account = request.context.account_id
        return Result(
            name,
            {
                "Arn": f"arn:aws:ecr:{request.region}:{account}:repository/{name}",
                "RepositoryUri": f"{account}.dkr.ecr.{request.region}.amazonaws.com/{name}",
            },
        )

    def update(self, request: Request) -> None:
        self._put_policies(request, request.physical_id)

    def delete(self, request: Request) -> None:
        properties = {"RepositoryName": request.physical_id, "Force": True}
        request.remove("ecr", "DeleteRepository", properties)

    def _put_policies(self, request: Request, name: str) -> None:
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


class Key(Provider):
    """A key of KMS; its deletion is only scheduled, as on AWS."""

    tags = "list"

    def create(self, request: Request) -> Result:
        properties = {**request.properties, "Tags": self._tags(request)}
        if "KeyPolicy" in properties:
            properties["Policy"] = properties["KeyPolicy"]
        key = request.call("kms", "CreateKey", properties)["KeyMetadata"]
        self._set_rotation(request, {"KeyId": key["KeyId"]})
        return Result(key["KeyId"], {"Arn": key["Arn"], "KeyId": key["KeyId"]})

    def update(self, request: Request) -> None:
        properties, key = request.properties, {"KeyId": request.physical_id}
        request.call("kms", "UpdateKeyDescription", {"Description": "", **properties, **key})
        if "KeyPolicy" in properties:
            policy = {"PolicyName": "default", "Policy": properties["KeyPolicy"]}
            request.call("kms", "PutKeyPolicy", {**key, **policy})
        request.retag("kms", "UntagResource", "TagResource", key, self._tags(request))
        self._set_rotation(request, key)

    def delete(self, request: Request) -> None:
        properties = {**request.properties, "KeyId": request.physical_id}
        request.remove("kms", "ScheduleKeyDeletion", properties)

    def _tags(self, request: Request) -> list[Properties]:
        tags = tag_map(request.properties)
        return [{"TagKey": key, "TagValue": value} for key, value in tags.items()]

    def _set_rotation(self, request: Request, key: Properties) -> None:
        rotates = is_true(request.properties.get("EnableKeyRotation"))
        request.call("kms", "EnableKeyRotation" if rotates else "DisableKeyRotation", key)


class LogGroup(Provider):
    """A group of CloudWatch Logs."""

    tags = "list"

    def create(self, request: Request) -> Result:
        name = request.properties.get("LogGroupName") or request.name(512)
        request.call("logs", "CreateLogGroup", {**request.properties, "LogGroupName": name})
        self._set_retention(request, name)
        return Result(name, {"Arn": f"{self._arn(request, name)}:*"})

    def update(self, request: Request) -> None:
        resource = {"ResourceArn": self._arn(request, request.physical_id)}
        tags = tag_map(request.properties)
        request.retag("logs", "UntagResource", "TagResource", resource, tags)
        self._set_retention(request, request.physical_id)

    def delete(self, request: Request) -> None:
        request.remove("logs", "DeleteLogGroup", {"LogGroupName": request.physical_id})

    def _set_retention(self, request: Request, name: str) -> None:
        kept = "RetentionInDays" in request.properties
        operation = "PutRetentionPolicy" if kept else "DeleteRetentionPolicy"
        request.call("logs", operation, {**request.properties, "LogGroupName": name})

    def _arn(self, request: Request, name: str) -> str:
        return f"arn:aws:logs:{request.region}:{request.context.account_id}:log-group:{name}"


class Topic(Provider):
    """A topic of SNS; its id is its ARN."""

    tags = "list"

    def create(self, request: Request) -> Result:
        properties = request.properties
        name = properties.get("TopicName") or request.name(256)
        attributes = {key: properties[key] for key in _TOPIC_ATTRIBUTES if key in properties}
        wanted = {"Name": name, "Attributes": attributes, "Tags": tag_list(properties)}
        arn = request.call("sns", "CreateTopic", wanted)["TopicArn"]
        return Result(arn, {"TopicArn": arn, "TopicName": name})

    def update(self, request: Request) -> None:
        for key in _TOPIC_ATTRIBUTES:
            value = request.properties.get(key, "")
            if value != request.old.get(key, ""):
                _set_attribute(request, request.physical_id, key, value)

    def delete(self, request: Request) -> None:
        request.remove("sns", "DeleteTopic", {"TopicArn": request.physical_id})


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
    "AWS::ECR::Repository": Repository(),
    "AWS::Events::Rule": Rule(),
    "AWS::KMS::Alias": Declared(
        "kms",
        ("CreateAlias", "UpdateAlias", "DeleteAlias"),
        id="{AliasName}",
        key={"AliasName": "{id}"},
    ),
    "AWS::KMS::Key": Key(),
    "AWS::Logs::LogGroup": LogGroup(),
    "AWS::SNS::Subscription": Declared(
        "sns",
        ("Subscribe", "", "Unsubscribe"),
        id="{SubscriptionArn}",
        key={"SubscriptionArn": "{id}"},
        attributes={"Arn": "{SubscriptionArn}"},
        prepare=lambda request: {**request.properties, "ReturnSubscriptionArn": True},
    ),
    "AWS::SNS::Topic": Topic(),
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
