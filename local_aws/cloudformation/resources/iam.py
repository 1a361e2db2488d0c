"""Roles and policies. Nothing enforces them here."""

from __future__ import annotations

import json
from typing import ClassVar

from botocore.client import BaseClient
from botocore.exceptions import ClientError

from local_aws.cloudformation.functions import Value
from local_aws.cloudformation.resources.base import (
    Properties,
    Request,
    Result,
    ignore_missing,
    missing,
    tag_map,
)


def _document(value: Value) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _tags(properties: Properties) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tag_map(properties).items()]


class Role:
    """A role with its inline and attached policies."""

    tags: ClassVar[str] = "list"

    def create(self, request: Request) -> Result:
        """Makes the role."""
        client, properties = request.client("iam"), request.properties
        name = properties.get("RoleName") or request.name()
        arguments: Properties = {
            "RoleName": name,
            "AssumeRolePolicyDocument": _document(properties["AssumeRolePolicyDocument"]),
            "Path": properties.get("Path", "/"),
            "Description": properties.get("Description", ""),
            "Tags": _tags(properties),
        }
        if "MaxSessionDuration" in properties:
            arguments["MaxSessionDuration"] = int(properties["MaxSessionDuration"])
        client.create_role(**arguments)
        _fill_role(client, name, properties, {})
        return _role_result(client, name)

    def update(self, request: Request, physical_id: str, old: Properties) -> Result:
        """Changes trust, policies and tags."""
        client, properties = request.client("iam"), request.properties
        client.update_assume_role_policy(
            RoleName=physical_id,
            PolicyDocument=_document(properties["AssumeRolePolicyDocument"]),
        )
        client.update_role(RoleName=physical_id, Description=properties.get("Description", ""))
        gone = set(tag_map(old)) - set(tag_map(properties))
        if gone:
            client.untag_role(RoleName=physical_id, TagKeys=sorted(gone))
        client.tag_role(RoleName=physical_id, Tags=_tags(properties))
        _fill_role(client, physical_id, properties, old)
        return _role_result(client, physical_id)

    def delete(self, request: Request, physical_id: str) -> None:
        """Takes off what is attached, then removes the role."""
        client = request.client("iam")
        try:
            attached = client.list_attached_role_policies(RoleName=physical_id)
            inline = client.list_role_policies(RoleName=physical_id)["PolicyNames"]
        except ClientError as error:
            if missing(error):
                return
            raise
        for policy in attached["AttachedPolicies"]:
            client.detach_role_policy(RoleName=physical_id, PolicyArn=policy["PolicyArn"])
        for name in inline:
            client.delete_role_policy(RoleName=physical_id, PolicyName=name)
        client.delete_role(RoleName=physical_id)


def _fill_role(client: BaseClient, name: str, properties: Properties, old: Properties) -> None:
    wanted = {policy["PolicyName"]: policy for policy in properties.get("Policies", [])}
    for policy_name, policy in wanted.items():
        client.put_role_policy(
            RoleName=name,
            PolicyName=policy_name,
            PolicyDocument=_document(policy["PolicyDocument"]),
        )
    for policy in old.get("Policies", []):
        if policy["PolicyName"] not in wanted:
            ignore_missing(
                client.delete_role_policy, RoleName=name, PolicyName=policy["PolicyName"]
            )
    arns = properties.get("ManagedPolicyArns", [])
    for arn in arns:
        client.attach_role_policy(RoleName=name, PolicyArn=arn)
    for arn in old.get("ManagedPolicyArns", []):
        if arn not in arns:
            ignore_missing(client.detach_role_policy, RoleName=name, PolicyArn=arn)


def _role_result(client: BaseClient, name: str) -> Result:
    role = client.get_role(RoleName=name)["Role"]
    return Result(name, {"Arn": role["Arn"], "RoleId": role["RoleId"]})


class Policy:
    """An inline policy, put into each of its roles."""

    tags: ClassVar[str] = ""

    def create(self, request: Request) -> Result:
        """Puts the policy."""
        client, properties = request.client("iam"), request.properties
        for role in properties.get("Roles", []):
            client.put_role_policy(
                RoleName=role,
                PolicyName=properties["PolicyName"],
                PolicyDocument=_document(properties["PolicyDocument"]),
            )
        return Result(properties["PolicyName"], {"Id": properties["PolicyName"]})

    def update(self, request: Request, physical_id: str, old: Properties) -> Result:
        """Puts it anew and takes it from roles that have left."""
        del physical_id
        for role in set(old.get("Roles", [])) - set(request.properties.get("Roles", [])):
            self._remove(request, role, old["PolicyName"])
        return self.create(request)

    def delete(self, request: Request, physical_id: str) -> None:
        """Takes the policy from its roles."""
        for role in request.properties.get("Roles", []):
            self._remove(request, role, physical_id)

    def _remove(self, request: Request, role: str, name: str) -> None:
        ignore_missing(request.client("iam").delete_role_policy, RoleName=role, PolicyName=name)


class ManagedPolicy:
    """A policy of its own, attached to its roles."""

    tags: ClassVar[str] = ""

    def create(self, request: Request) -> Result:
        """Makes and attaches the policy."""
        client, properties = request.client("iam"), request.properties
        made = client.create_policy(
            PolicyName=properties.get("ManagedPolicyName") or request.name(),
            Path=properties.get("Path", "/"),
            Description=properties.get("Description", ""),
            PolicyDocument=_document(properties["PolicyDocument"]),
        )
        arn = made["Policy"]["Arn"]
        for role in properties.get("Roles", []):
            client.attach_role_policy(RoleName=role, PolicyArn=arn)
        return Result(arn, {"PolicyArn": arn, "PolicyId": made["Policy"]["PolicyId"]})

    def update(self, request: Request, physical_id: str, old: Properties) -> Result:
        """Makes a new default version; only the newest is kept."""
        client, properties = request.client("iam"), request.properties
        client.create_policy_version(
            PolicyArn=physical_id,
            PolicyDocument=_document(properties["PolicyDocument"]),
            SetAsDefault=True,
        )
        for version in client.list_policy_versions(PolicyArn=physical_id)["Versions"]:
            if not version["IsDefaultVersion"]:
                client.delete_policy_version(PolicyArn=physical_id, VersionId=version["VersionId"])
        for role in properties.get("Roles", []):
            client.attach_role_policy(RoleName=role, PolicyArn=physical_id)
        for role in set(old.get("Roles", [])) - set(properties.get("Roles", [])):
            ignore_missing(client.detach_role_policy, RoleName=role, PolicyArn=physical_id)
        return Result(physical_id, {"PolicyArn": physical_id})

    def delete(self, request: Request, physical_id: str) -> None:
        """Detaches and removes it."""
        client = request.client("iam")
        for role in request.properties.get("Roles", []):
            ignore_missing(client.detach_role_policy, RoleName=role, PolicyArn=physical_id)
        ignore_missing(client.delete_policy, PolicyArn=physical_id)
