"""IAM: roles and policies. Nothing enforces them here."""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import ClientError

from local_aws.cloudformation.functions import Value
from local_aws.cloudformation.resources.base import (
    Properties,
    Provider,
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


class Role(Provider):
    """A role with its inline and attached policies."""

    tags = "list"

    def create(self, request: Request) -> Result:
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
        role = client.create_role(**arguments)["Role"]
        _set_policies(client, name, properties, {})
        return Result(name, {"Arn": role["Arn"], "RoleId": role["RoleId"]})

    def update(self, request: Request) -> None:
        client, properties, name = request.client("iam"), request.properties, request.physical_id
        trust = _document(properties["AssumeRolePolicyDocument"])
        client.update_assume_role_policy(RoleName=name, PolicyDocument=trust)
        client.update_role(RoleName=name, Description=properties.get("Description", ""))
        if request.removed_tags():
            client.untag_role(RoleName=name, TagKeys=request.removed_tags())
        client.tag_role(RoleName=name, Tags=_tags(properties))
        _set_policies(client, name, properties, request.old)

    def delete(self, request: Request) -> None:
        client, name = request.client("iam"), request.physical_id
        try:
            attached = client.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
            inline = client.list_role_policies(RoleName=name)["PolicyNames"]
        except ClientError as error:
            if missing(error):
                return
            raise
        for policy in attached:
            client.detach_role_policy(RoleName=name, PolicyArn=policy["PolicyArn"])
        for policy_name in inline:
            client.delete_role_policy(RoleName=name, PolicyName=policy_name)
        client.delete_role(RoleName=name)


def _set_policies(client: Any, name: str, properties: Properties, old: Properties) -> None:
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


class Policy(Provider):
    """An inline policy, put into each of its roles."""

    def create(self, request: Request) -> Result:
        client, properties = request.client("iam"), request.properties
        for role in properties.get("Roles", []):
            client.put_role_policy(
                RoleName=role,
                PolicyName=properties["PolicyName"],
                PolicyDocument=_document(properties["PolicyDocument"]),
            )
        return Result(properties["PolicyName"], {"Id": properties["PolicyName"]})

    def update(self, request: Request) -> Result:
        for role in set(request.old.get("Roles", [])) - set(request.properties.get("Roles", [])):
            self._remove(request, role, request.old["PolicyName"])
        return self.create(request)

    def delete(self, request: Request) -> None:
        for role in request.properties.get("Roles", []):
            self._remove(request, role, request.physical_id)

    def _remove(self, request: Request, role: str, name: str) -> None:
        ignore_missing(request.client("iam").delete_role_policy, RoleName=role, PolicyName=name)


class ManagedPolicy(Provider):
    """A standalone policy, attached to its roles."""

    def create(self, request: Request) -> Result:
        client, properties = request.client("iam"), request.properties
        policy = client.create_policy(
            PolicyName=properties.get("ManagedPolicyName") or request.name(),
            Path=properties.get("Path", "/"),
            Description=properties.get("Description", ""),
            PolicyDocument=_document(properties["PolicyDocument"]),
        )["Policy"]
        for role in properties.get("Roles", []):
            client.attach_role_policy(RoleName=role, PolicyArn=policy["Arn"])
        return Result(policy["Arn"], {"PolicyArn": policy["Arn"], "PolicyId": policy["PolicyId"]})

    def update(self, request: Request) -> None:
        client, properties, arn = request.client("iam"), request.properties, request.physical_id
        document = _document(properties["PolicyDocument"])
        client.create_policy_version(PolicyArn=arn, PolicyDocument=document, SetAsDefault=True)
        for version in client.list_policy_versions(PolicyArn=arn)["Versions"]:
            if not version["IsDefaultVersion"]:
                client.delete_policy_version(PolicyArn=arn, VersionId=version["VersionId"])
        for role in properties.get("Roles", []):
            client.attach_role_policy(RoleName=role, PolicyArn=arn)
        for role in set(request.old.get("Roles", [])) - set(properties.get("Roles", [])):
            ignore_missing(client.detach_role_policy, RoleName=role, PolicyArn=arn)

    def delete(self, request: Request) -> None:
        client, arn = request.client("iam"), request.physical_id
        for role in request.properties.get("Roles", []):
            ignore_missing(client.detach_role_policy, RoleName=role, PolicyArn=arn)
        ignore_missing(client.delete_policy, PolicyArn=arn)
