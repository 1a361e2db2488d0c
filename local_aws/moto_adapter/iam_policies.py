"""The policies that moto's services keep, and who owns an access key."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from moto.awslambda.models import lambda_backends
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends
from moto.kms.models import kms_backends
from moto.s3.models import FakeKey, s3_backends
from moto.sns.models import sns_backends
from moto.sts.models import sts_backends

from local_aws.moto_adapter.lambda_functions import find_lambda_function


@dataclass(frozen=True)
class KeyOwner:
    """An access key that IAM or STS issued; temporary ones have a token and a role."""

    arn: str
    user_id: str
    secret: str
    token: str | None = None
    expires: datetime | None = None
    role_arn: str | None = None


def find_key_owner(access_key_id: str) -> KeyOwner | None:
    """The active key of an IAM user or of an assumed role, if there is one."""
    for tokens in list(sts_backends[DEFAULT_ACCOUNT_ID].values()):
        role = tokens.get_assumed_role_from_access_key(access_key_id)
        if role is not None:
            return KeyOwner(
                arn=role.arn,
                user_id=role.user_id,
                secret=role.secret_access_key,
                token=role.session_token,
                expires=role.expiration.replace(tzinfo=UTC),
                role_arn=role.role_arn,
            )
    for user in list(_identities().users.values()):
        for key in user.access_keys:
            if key.access_key_id == access_key_id and key.status == "Active":
                return KeyOwner(user.arn, user.id, key.secret_access_key)
    return None


@dataclass(frozen=True)
class IdentityPolicies:
    """The (name, document) of each policy of a user or a role, and what bounds them."""

    documents: list[tuple[str, str]]
    boundary: str | None = None


def role_policies(name: str) -> IdentityPolicies:
    """The policies of a role; none if it does not exist."""
    role = _role(name)
    return IdentityPolicies([]) if role is None else _policies_of(role, f"role/{name}")


def user_policies(name: str) -> IdentityPolicies:
    """The policies of a user and its groups; none if it does not exist."""
    user = _identities().users.get(name)
    if user is None:
        return IdentityPolicies([])
    found = _policies_of(user, f"user/{name}")
    for group in _identities().get_groups_for_user(name):
        found.documents.extend(_policies_of(group, f"group/{group.name}").documents)
    return found


def _policies_of(owner: Any, label: str) -> IdentityPolicies:
    inline = owner.policies
    documents = [(f"{label}/{name}", text) for name, text in dict(inline).items()]
    for policy in list(owner.managed_policies.values()):
        version = next(v for v in policy.versions if v.version_id == policy.default_version_id)
        documents.append((f"{label}/{policy.name}", version.document))
    return IdentityPolicies(documents, getattr(owner, "permissions_boundary_arn", None))


def role_arn(name: str) -> str | None:
    """The ARN, with its path, of a role, if it exists."""
    role = _role(name)
    return None if role is None else str(role.arn)


def resource_policy(arn: str) -> str | None:
    """The policy document of a bucket, key, topic, function or role, if it has one.

    A role's is its trust policy.
    """
    parts = arn.split(":", 5)
    find = _RESOURCES.get(parts[2]) if len(parts) == 6 else None
    return None if find is None else find(arn, parts[3], parts[5])


def _bucket_policy(_arn: str, _region: str, path: str) -> str | None:
    bucket = _bucket(path)
    policy = bucket.policy if bucket else None
    return policy.decode() if isinstance(policy, bytes) else policy or None


def _key_policy(_arn: str, region: str, path: str) -> str | None:
    key = kms_backends[DEFAULT_ACCOUNT_ID][region].keys.get(path.removeprefix("key/"))
    return None if key is None else str(key.policy)


def _topic_policy(arn: str, region: str, _name: str) -> str | None:
    topic = sns_backends[DEFAULT_ACCOUNT_ID][region].topics.get(arn)
    return None if topic is None else str(topic.policy)


def _function_policy(arn: str, region: str, path: str) -> str | None:
    kind, _, name = path.partition(":")
    if kind != "function" or find_lambda_function(arn, region) is None:
        return None
    # Permissions for versions and aliases are kept with the function, each for its resource.
    function = lambda_backends[DEFAULT_ACCOUNT_ID][region].get_function(name.partition(":")[0])
    return json.dumps({"Statement": function.policy.statements})


def _trust_policy(_arn: str, _region: str, path: str) -> str | None:
    role = _role(path.rpartition("/")[2]) if path.startswith("role/") else None
    return None if role is None else str(role.assume_role_policy_document)


_RESOURCES: dict[str, Callable[[str, str, str], str | None]] = {
    "s3": _bucket_policy,
    "kms": _key_policy,
    "sns": _topic_policy,
    "lambda": _function_policy,
    "iam": _trust_policy,
}


def kms_key_arn(key_id: str, region: str) -> str | None:
    """The ARN of a key by its id, ARN or alias, if it exists."""
    backend = kms_backends[DEFAULT_ACCOUNT_ID][region]
    alias = key_id.rpartition(":")[2] if ":alias/" in key_id else key_id
    if alias.startswith("alias/"):
        found = [key for key in list(backend.keys.values()) if alias in key.aliases]
        return str(found[0].arn) if found else None
    key = backend.keys.get(key_id.rpartition("/")[2])
    return None if key is None else str(key.arn)


def kms_key_state(arn: str) -> str | None:
    """The state of a key, such as "Enabled"; None if it does not exist."""
    key = kms_backends[DEFAULT_ACCOUNT_ID][arn.split(":")[3]].keys.get(arn.rpartition("/")[2])
    return None if key is None else str(key.key_state)


def bucket_region(bucket: str) -> str | None:
    """The region of a bucket, if it exists."""
    found = _bucket(bucket)
    return None if found is None else str(found.region_name)


def default_key_of_bucket(bucket: str) -> str | None:
    """The KMS key that new objects of a bucket are encrypted with, unless the request names one."""
    found = _bucket(bucket)
    rule = ((found.encryption if found else None) or {}).get("Rule") or {}
    settings = (rule[0] if isinstance(rule, list) else rule).get(
        "ApplyServerSideEncryptionByDefault", {}
    )
    return settings.get("KMSMasterKeyID") if settings.get("SSEAlgorithm") == "aws:kms" else None


def key_of_object(bucket: str, key: str, version: str | None) -> str | None:
    """The KMS key that an existing object is encrypted with."""
    return getattr(_object(bucket, key, version), "kms_key_id", None)


def has_object(bucket: str, key: str, version: str | None) -> bool:
    """Whether an object exists, and is not hidden by a delete marker."""
    return isinstance(_object(bucket, key, version), FakeKey)


def _object(bucket: str, key: str, version: str | None) -> Any:
    found = _bucket(bucket)
    versions: list[Any] = found.keys.getlist(key, []) if found else []
    chosen = [v for v in versions if version is None or v.version_id == version]
    return chosen[-1] if chosen else None


def _bucket(path: str) -> Any:
    return s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets.get(path.partition("/")[0])


def _role(name: str) -> Any:
    return next((role for role in list(_identities().roles.values()) if role.name == name), None)


def _identities() -> Any:
    return iam_backends[DEFAULT_ACCOUNT_ID]["aws"]
