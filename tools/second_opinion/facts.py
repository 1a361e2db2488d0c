"""What an emulator says of the stacks that were deployed to it, and how two of them differ."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from itertools import chain
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from local_aws.context import Context


class Fact(NamedTuple):
    """What a value is about.

    Args:
        kind: A type of resource, "stack", "output" or "request".
        name: Which one.
        what: Which of its values, in dots.
    """

    kind: str
    name: str
    what: str


Facts = dict[Fact, str]

# By which calls a type of resource is read back, as far as the local AWS has them: type, service,
# operation, the argument that takes the physical id, more arguments. `[]` marks lists, `/` the
# arguments that take only what follows the id's last slash.
_READS = """
AWS::ApiGateway::Account apigateway get_account
AWS::ApiGateway::ApiKey apigateway get_api_key apiKey
AWS::ApiGateway::RestApi apigateway get_rest_api restApiId
AWS::ApiGateway::RestApi apigateway get_resources restApiId embed[]=methods
AWS::ApiGateway::RestApi apigateway get_stages restApiId
AWS::ApiGateway::UsagePlan apigateway get_usage_plan usagePlanId
AWS::CloudWatch::Alarm cloudwatch describe_alarms AlarmNames[]
AWS::CloudWatch::Dashboard cloudwatch get_dashboard DashboardName
AWS::Events::Rule events describe_rule Name
AWS::Events::Rule events list_targets_by_rule Rule
AWS::IAM::Role iam get_role RoleName
AWS::IAM::Role iam list_attached_role_policies RoleName
AWS::KMS::Key kms describe_key KeyId
AWS::KMS::Key kms get_key_policy KeyId PolicyName=default
AWS::KMS::Key kms get_key_rotation_status KeyId
AWS::Lambda::Function lambda get_function FunctionName
AWS::Lambda::Function lambda get_policy FunctionName
AWS::Logs::LogGroup logs describe_log_groups logGroupNamePrefix
AWS::S3::Bucket s3 get_bucket_encryption Bucket
AWS::S3::Bucket s3 get_bucket_lifecycle_configuration Bucket
AWS::S3::Bucket s3 get_bucket_policy Bucket
AWS::S3::Bucket s3 get_bucket_tagging Bucket
AWS::S3::Bucket s3 get_bucket_versioning Bucket
AWS::SNS::Topic sns get_topic_attributes TopicArn
AWS::SSM::Parameter ssm get_parameter Name
AWS::SageMaker::Endpoint sagemaker describe_endpoint EndpointName/
AWS::SageMaker::EndpointConfig sagemaker describe_endpoint_config EndpointConfigName/
AWS::SageMaker::Model sagemaker describe_model ModelName/
AWS::StepFunctions::StateMachine stepfunctions describe_state_machine stateMachineArn
"""
# By what the items of a list are told apart, rather than by their place.
_KEYS = ("Key", "TagKey", "key", "path", "responseType", "stageName", "PolicyName", "Sid")
# Differ from one deployment to the next.
_RANDOM = re.compile(
    r".*\.(RevisionId|RoleId|id|parentId|resourceId|rootResourceId|cacheNamespace|deploymentId|"
    r"revisionId|creationTime|LastModified|CurrentKeyMaterialId|ETag|storedBytes|Code\.Location)"
    r"|get_(api_key|usage_plan)\.(name|value)"
)


def observe(context: Context, stacks: Iterable[str]) -> Facts:
    """Everything that the emulator's APIs say of the stacks and their resources."""
    facts: Facts = {}
    found = {name: list(_resources(context, name)) for name in stacks}
    described = {
        name: _call(context, "cloudformation", "describe_stacks", StackName=name).get("Stacks", [])
        for name in found
    }
    labels = {item["StackId"]: f"<{name}>" for name, items in described.items() for item in items}
    labels |= {context.endpoint_url: "<endpoint>", **_labels(chain(*found.values()))}
    replace = replacing(labels)

    def note(kind: str, name: str, what: str, value: object) -> None:
        for path, leaf in flat(masked(value, replace), what):
            if "aws:cloudformation:" in path:
                facts[Fact(kind, name, "the tags that CloudFormation adds")] = "there"
            elif not _RANDOM.fullmatch(path):
                facts[Fact(kind, name, path)] = leaf

    for stack, resources in found.items():
        for item in described[stack]:
            note("stack", stack, "status", item["StackStatus"])
            for output in item.get("Outputs", []):
                note("output", f"{stack}.{output['OutputKey']}", "value", output["OutputValue"])
        for resource in resources:
            kind, name = resource["ResourceType"], resource["LogicalResourceId"]
            physical_id = resource.get("PhysicalResourceId", "")
            note(kind, name, "status", resource["ResourceStatus"])
            facts[Fact(kind, name, "id")] = form_of(physical_id, stack, name)
            for service, operation, arguments in _reads(kind, physical_id):
                note(kind, name, operation, _call(context, service, operation, **arguments))
            if kind == "AWS::IAM::Role":
                listed = _call(context, "iam", "list_role_policies", RoleName=physical_id)
                for policy in listed.get("PolicyNames", []):
                    asked = {"RoleName": physical_id, "PolicyName": policy}
                    note(kind, name, "policy", _call(context, "iam", "get_role_policy", **asked))
    return facts


def _labels(resources: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    labels: dict[str, str] = {}
    # Of a bucket and its policy, which have one id, the bucket, whose name is shorter.
    for resource in sorted(resources, key=lambda resource: len(resource["LogicalResourceId"])):
        physical_id = resource.get("PhysicalResourceId", "")
        texts = [physical_id]
        if resource["ResourceType"] == "AWS::IAM::Policy":
            texts = []  # has a name from the template, too
        if physical_id.startswith("arn:"):  # names occur without the rest
            texts.append(re.split("[:/]", physical_id)[-1])
        for text in texts:
            if len(text) > 5:
                labels.setdefault(text, f"<{resource['LogicalResourceId']}>")
    return labels


def _resources(context: Context, stack: str) -> Iterator[dict[str, Any]]:
    pages = context.client("cloudformation").get_paginator("list_stack_resources")
    with suppress(ClientError):  # there is no such stack
        for page in pages.paginate(StackName=stack):
            yield from page["StackResourceSummaries"]


def _reads(kind: str, physical_id: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for line in _READS.strip().splitlines():
        of, service, operation, *arguments = line.split()
        if of == kind:
            given: dict[str, Any] = {}
            for argument in arguments:
                name, is_fixed, value = argument.partition("=")
                text = value if is_fixed else physical_id
                if name.endswith("/"):
                    text = text.rpartition("/")[2]
                given[name.rstrip("[]/")] = [text] if name.endswith("[]") else text
            yield service, operation, given


def _call(context: Context, service: str, operation: str, **arguments: Any) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = getattr(context.client(service), operation)(**arguments)
    except ClientError as error:
        return {"error": error.response["Error"]["Code"]}
    return {key: value for key, value in answer.items() if key != "ResponseMetadata"}


def replacing(labels: Mapping[str, str]) -> Callable[[str], str]:
    """Replaces each key of `labels` in a text by its value; the longest first."""
    pattern = re.compile("|".join(map(re.escape, sorted(labels, key=len, reverse=True))))
    return lambda text: pattern.sub(lambda match: labels[match[0]], text)


def masked(value: Any, replace: Callable[[str], str]) -> Any:
    """The value with its texts replaced, JSON in texts parsed, and without times."""
    if isinstance(value, Mapping):
        return {key: masked(item, replace) for key, item in value.items()}
    if isinstance(value, list):
        return [masked(item, replace) for item in value]
    if isinstance(value, str):
        if value[:1] in ("{", "["):
            with suppress(ValueError):
                return masked(json.loads(value), replace)
        return replace(value)
    return None if isinstance(value, datetime) else value


def flat(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Its leaves, each with its path; empty ones are left out."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from flat(item, f"{path}.{key}")
    elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        for place, item in enumerate(value):
            key = next((key for key in _KEYS if key in item), "")
            rest = {k: v for k, v in item.items() if k != key}
            yield from flat(rest, f"{path}.{item.get(key, place)}")
    elif isinstance(value, list) and value:
        yield path, json.dumps(sorted(value, key=str))
    elif value not in (None, "", []):
        yield path, value if isinstance(value, str) else json.dumps(value, default=str)


def form_of(physical_id: str, stack: str, logical_id: str) -> str:
    """What kind of physical id it is, without what is random in it."""
    if physical_id == logical_id:
        return "<name>"
    if physical_id.startswith("arn:"):
        return ":".join([*physical_id.split(":")[:3], "…"])
    if physical_id.lower().startswith(stack.lower()[:10]):
        return "<stack>…"
    if separators := re.findall("[|:/]", physical_id):
        return f"…{'…'.join(separators)}…"
    random = r"[a-z0-9]{8,12}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    return "<random>" if re.fullmatch(random, physical_id) else physical_id


class Difference(NamedTuple):
    """A value that differs, of everything of one kind that it differs for.

    Args:
        ours, theirs: Of the first in `names`; None: not there.
    """

    kind: str
    what: str
    ours: str | None
    theirs: str | None
    names: list[str]


def differences(ours: Facts, theirs: Facts) -> list[Difference]:
    """Where two emulators differ; the same difference of several resources once."""
    found = defaultdict(list)
    absent = {
        fact[:2]
        for fact, value in [*ours.items(), *theirs.items()]
        if fact.what == "status" and value.startswith(("refused", "left out"))
    }
    for fact in sorted({*ours, *theirs}):
        pair = ours.get(fact), theirs.get(fact)
        if pair[0] != pair[1] and (fact.what == "status" or fact[:2] not in absent):
            found[fact.kind, fact.what, *pair].append(fact.name)
    return [Difference(*key, names) for key, names in found.items()]
