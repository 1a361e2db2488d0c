"""IAM and STS: the owners of access keys, and AWS's managed policies."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.iam.models import IAMBackend, ManagedPolicy, iam_backends
from moto.settings import load_iam_aws_managed_policies
from moto.sts.models import sts_backends
from moto.utilities.utils import get_partition

from local_aws.moto_adapter.patching import replace


@dataclass(frozen=True)
class AccessKey:
    """A secret access key and its owner; temporary keys have a session token and expire."""

    arn: str
    principal_id: str
    secret: str
    token: str | None
    expires: datetime | None


def find_access_key(access_key_id: str) -> AccessKey | None:
    """The active key of an IAM user or of an assumed role, if there is one."""
    for tokens in list(sts_backends[DEFAULT_ACCOUNT_ID].values()):
        role = tokens.get_assumed_role_from_access_key(access_key_id)
        if role is not None:
            expires = role.expiration.replace(tzinfo=UTC)
            secret, token = role.secret_access_key, role.session_token
            return AccessKey(role.arn, role.user_id, secret, token, expires)
    for identities in list(iam_backends[DEFAULT_ACCOUNT_ID].values()):
        for user in list(identities.users.values()):
            for key in user.access_keys:
                if key.access_key_id == access_key_id and key.status == "Active":
                    return AccessKey(user.arn, user.id, key.secret_access_key, None, None)
    return None


def _read_once(original: Callable[..., Any]) -> Any:
    known: dict[tuple[str, str], list[ManagedPolicy]] = {}

    def init(self: Any) -> list[ManagedPolicy]:
        # moto would parse them again for each partition and at each reset.
        if not load_iam_aws_managed_policies():
            return []
        whose = self.account_id, self.region_name
        if whose not in known:
            known[whose] = _copies(known, *whose) if known else original(self)
        for policy in known[whose]:
            # The only part of them that requests change.
            policy.attachment_count = 0
        return list(known[whose])

    return init


def _copies(
    known: dict[tuple[str, str], list[ManagedPolicy]], account_id: str, region: str
) -> list[ManagedPolicy]:
    policies = [copy(policy) for policy in next(iter(known.values()))]
    for policy in policies:
        policy.account_id = account_id
        policy.partition = get_partition(region)
    return policies


replace(IAMBackend, "_init_aws_policies", _read_once)
