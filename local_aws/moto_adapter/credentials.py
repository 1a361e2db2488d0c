"""IAM and STS: the owners of access keys."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends
from moto.sts.models import sts_backends


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
