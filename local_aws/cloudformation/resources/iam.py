"""IAM: roles and policies. Nothing enforces them here."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from local_aws.cloudformation.resources.base import (
    Properties,
    Provider,
    Request,
    Result,
    missing,
    tag_list,
)


def _put_policy(request: Request, role: str, policy: Properties) -> None:
    request.call("iam", "PutRolePolicy", {"RoleName": role, **policy})


def _remove_policy(request: Request, role: str, name: str) -> None:
    request.remove("iam", "DeleteRolePolicy", {"RoleName": role, "PolicyName": name})


def _attach(request: Request, role: str, arn: str) -> None:
    request.call("iam", "AttachRolePolicy", {"RoleName": role, "PolicyArn": arn})


def _detach(request: Request, role: str, arn: str) -> None:
    request.remove("iam", "DetachRolePolicy", {"RoleName": role, "PolicyArn": arn})


def _removed(request: Request, key: str) -> list[Any]:
    """The items of a list that an update removes."""
    return [
        item for item in request.old.get(key, []) if item not in request.properties.get(key, [])
    ]


class Role(Provider):
    """A role with its inline and attached policies."""

    tags = "list"

    def create(self, request: Request) -> Result:
        properties = {"RoleName": request.name(), **request.properties}
        role = request.call("iam", "CreateRole", properties)["Role"]
        self._set_policies(request, role["RoleName"])
        return Result(role["RoleName"], {"Arn": role["Arn"], "RoleId": role["RoleId"]})

    def update(self, request: Request) -> None:
        properties, role = request.properties, {"RoleName": request.physical_id}
        trust = {"PolicyDocument": properties["AssumeRolePolicyDocument"]}
        request.call("iam", "UpdateAssumeRolePolicy", {**role, **trust})
        request.call("iam", "UpdateRole", {"Description": "", **properties, **role})
        request.retag("iam", "UntagRole", "TagRole", role, tag_list(properties))
        self._set_policies(request, request.physical_id)

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
            _detach(request, name, policy["PolicyArn"])
        for policy_name in inline:
            _remove_policy(request, name, policy_name)
        client.delete_role(RoleName=name)

    def _set_policies(self, request: Request, name: str) -> None:
        policies = request.properties.get("Policies", [])
        kept = {policy["PolicyName"] for policy in policies}
        for policy in policies:
            _put_policy(request, name, policy)
        for policy in request.old.get("Policies", []):
            if policy["PolicyName"] not in kept:
                _remove_policy(request, name, policy["PolicyName"])
        for arn in request.properties.get("ManagedPolicyArns", []):
            _attach(request, name, arn)
        for arn in _removed(request, "ManagedPolicyArns"):
            _detach(request, name, arn)


class Policy(Provider):
    """An inline policy, put into each of its roles. Its id is made up, and not its name."""

    def create(self, request: Request) -> Result:
        for role in request.properties.get("Roles", []):
            _put_policy(request, role, request.properties)
        made_up = request.name(24)
        return Result(made_up, {"Id": made_up})

    def update(self, request: Request) -> None:
        for role in request.properties.get("Roles", []):
            _put_policy(request, role, request.properties)
        name = request.old["PolicyName"]
        renamed = name != request.properties["PolicyName"]
        for role in request.old.get("Roles", []) if renamed else _removed(request, "Roles"):
            _remove_policy(request, role, name)

    def delete(self, request: Request) -> None:
        for role in request.properties.get("Roles", []):
            _remove_policy(request, role, request.properties["PolicyName"])


class ManagedPolicy(Provider):
    """A standalone policy, attached to its roles."""

    def create(self, request: Request) -> Result:
        name = request.properties.get("ManagedPolicyName") or request.name()
        properties = {**request.properties, "PolicyName": name}
        policy = request.call("iam", "CreatePolicy", properties)["Policy"]
        for role in request.properties.get("Roles", []):
            _attach(request, role, policy["Arn"])
        return Result(policy["Arn"], {"PolicyArn": policy["Arn"], "PolicyId": policy["PolicyId"]})

    def update(self, request: Request) -> None:
        client, arn = request.client("iam"), request.physical_id
        version = {**request.properties, "PolicyArn": arn, "SetAsDefault": True}
        request.call("iam", "CreatePolicyVersion", version)
        for version in client.list_policy_versions(PolicyArn=arn)["Versions"]:
            if not version["IsDefaultVersion"]:
                client.delete_policy_version(PolicyArn=arn, VersionId=version["VersionId"])
        for role in request.properties.get("Roles", []):
            _attach(request, role, arn)
        for role in _removed(request, "Roles"):
            _detach(request, role, arn)

    def delete(self, request: Request) -> None:
        for role in request.properties.get("Roles", []):
            _detach(request, role, request.physical_id)
        request.remove("iam", "DeletePolicy", {"PolicyArn": request.physical_id})


PROVIDERS = {
    "AWS::IAM::ManagedPolicy": ManagedPolicy(),
    "AWS::IAM::Policy": Policy(),
    "AWS::IAM::Role": Role(),
}
