"""Who asks: to whom a batch belongs, and what else a caller may do.

API Gateway has authenticated the caller; its event says who that was.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from rest.errors import ApiError

_SESSION: Final = re.compile(r"(arn:[\w-]+):sts:(:\d+):assumed-role/([^/]+)/.*", re.DOTALL)
_ROLE: Final = re.compile(r"(arn:[\w-]+:iam::\d+:role)/(?:.*/)?([^/]+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who sends requests.

    Attributes:
        owner: stands for the caller on a batch: a hash, since it may be about a person.
        names: what the settings can call this caller.
    """

    owner: str
    names: frozenset[str]

    @classmethod
    def of(cls, *parts: str, names: Iterable[str]) -> Caller:
        """The caller that `parts` identify."""
        # As `jq -nc '$ARGS.positional' --args …` writes it: operators can tell whose a batch is.
        text = json.dumps(parts, ensure_ascii=False, separators=(",", ":"))
        return cls(hashlib.sha256(text.encode()).hexdigest(), frozenset(names))


def caller_of(auth: str, keys: Mapping[str, str], context: Mapping[str, Any]) -> Caller:
    """The caller of an event of API Gateway.

    With `api_key` it is the key's name up to a dot, which stays when the key is rotated; with `iam`
    the user, or the role without its session; with `jwt` issuer and subject.

    Args:
        auth: the setting `api.auth`.
        keys: the ids of the API keys by their names.
        context: the event's requestContext.

    Raises ApiError: forbidden for a caller that cannot be told from others.
    """
    identity = context.get("identity") or {}
    authorizer = context.get("authorizer") or {}
    if auth == "api_key" and (key_id := identity.get("apiKeyId")):
        names = [name.partition(".")[0] for name, known in keys.items() if known == key_id]
        # A key that was made by hand has no name here.
        return Caller.of(auth, *names, names=names) if names else Caller.of("key", key_id, names=())
    if auth == "iam" and (arn := identity.get("userArn")):
        arn = _SESSION.sub(r"\1:iam:\2:role/\3", arn)
        return Caller.of(auth, arn, names=[arn])
    if auth == "jwt" and (subject := authorizer.get("subject")):
        scopes = str(authorizer.get("scopes") or "").split()
        return Caller.of(auth, authorizer["issuer"], subject, names=scopes)
    raise ApiError("forbidden", "Batches belong to callers, and these credentials name none.")


def without_path(name: str) -> str:
    """The ARN of a role without its path, which sessions do not have; anything else as it is."""
    return _ROLE.sub(r"\1/\2", name)
