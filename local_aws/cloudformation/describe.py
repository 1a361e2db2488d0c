"""Stacks and their parts as the API describes them."""

from __future__ import annotations

from typing import Any

from local_aws.cloudformation.model import ChangeSet, Definition, Event, Resource, Stack

Answer = dict[str, Any]


def describe_parameters(definition: Definition) -> list[Answer]:
    """Parameters of a stack or change set, with secret ones masked."""
    found = []
    for name, parameter in definition.template.parameters.items():
        entry: Answer = {"ParameterKey": name, "ParameterValue": definition.parameters[name]}
        if str(parameter.get("Type", "")).startswith("AWS::SSM::"):
            entry["ResolvedValue"] = definition.values[name]
        if str(parameter.get("NoEcho", "")).lower() == "true":
            entry["ParameterValue"] = "****"
        found.append(entry)
    return found


def describe_tags(definition: Definition) -> list[Answer]:
    """Tags of a stack or change set."""
    return [{"Key": key, "Value": value} for key, value in definition.tags.items()]


def describe_stack(stack: Stack) -> Answer:
    """A stack as DescribeStacks shows it."""
    definition = stack.definition
    return {
        "StackId": stack.id,
        "StackName": stack.name,
        "Description": stack.description,
        "Parameters": describe_parameters(definition) if definition else [],
        "CreationTime": stack.created,
        "LastUpdatedTime": stack.updated,
        "DeletionTime": stack.deleted,
        "RollbackConfiguration": {},
        "StackStatus": stack.status,
        "StackStatusReason": stack.reason,
        "DisableRollback": not stack.rollback,
        "NotificationARNs": [],
        "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
        "Outputs": [
            {
                "OutputKey": name,
                "OutputValue": output.value,
                "Description": output.description,
                "ExportName": output.export,
            }
            for name, output in stack.outputs.items()
        ],
        "RoleARN": stack.role_arn,
        "Tags": describe_tags(definition) if definition else [],
        "EnableTerminationProtection": stack.termination_protection,
        "DriftInformation": {"StackDriftStatus": "NOT_CHECKED"},
    }


def summarize_stack(stack: Stack) -> Answer:
    """A stack as ListStacks shows it."""
    keys = ("StackId", "StackName", "CreationTime", "LastUpdatedTime", "DeletionTime")
    described = describe_stack(stack)
    more = ("StackStatus", "StackStatusReason", "DriftInformation")
    return {key: described[key] for key in (*keys, *more)} | {
        "TemplateDescription": stack.description
    }


def describe_resource(stack: Stack, resource: Resource) -> Answer:
    """A resource as the operations about resources show it."""
    return {
        **_state(stack, resource),
        "Timestamp": resource.updated,
        "LastUpdatedTimestamp": resource.updated,
        "DriftInformation": {"StackResourceDriftStatus": "NOT_CHECKED"},
    }


def describe_event(stack: Stack, event: Event) -> Answer:
    """An event as DescribeStackEvents shows it."""
    return {
        **_state(stack, event),
        "EventId": event.id,
        "Timestamp": event.time,
        "OperationId": event.operation,
    }


def _state(stack: Stack, item: Resource | Event) -> Answer:
    return {
        "StackName": stack.name,
        "StackId": stack.id,
        "LogicalResourceId": item.logical_id,
        "PhysicalResourceId": item.physical_id,
        "ResourceType": item.type,
        "ResourceStatus": item.status,
        "ResourceStatusReason": item.reason,
    }


def describe_change_set(stack: Stack, change_set: ChangeSet) -> Answer:
    """A change set as DescribeChangeSet shows it."""
    return {
        **summarize_change_set(stack, change_set),
        "Parameters": describe_parameters(change_set.definition),
        "NotificationARNs": [],
        "RollbackConfiguration": {},
        "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
        "Tags": describe_tags(change_set.definition),
        "Changes": change_set.changes,
    }


def summarize_change_set(stack: Stack, change_set: ChangeSet) -> Answer:
    """A change set as ListChangeSets shows it."""
    return {
        "StackId": stack.id,
        "StackName": stack.name,
        "ChangeSetId": change_set.id,
        "ChangeSetName": change_set.name,
        "ExecutionStatus": change_set.execution_status,
        "Status": change_set.status,
        "StatusReason": change_set.reason,
        "CreationTime": change_set.created,
        "Description": change_set.description,
        "IncludeNestedStacks": False,
    }
