"""Who makes requests, and the access keys that they sign them with."""

from __future__ import annotations

import configparser
import os
import secrets
import string
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

_LETTERS = string.ascii_uppercase + "234567"
_FILE = "credentials"


@dataclass(frozen=True)
class Principal:
    """A user, a session of a role, or an AWS service that acts for itself.

    Args:
        arn: Of the user or the session; a service's name.
        user_id: The condition key `aws:userid`.
        account: The number of its account; "" for a service, and for nobody known.
        role_arn: Of the role that a session is of.
        service: E.g. "events.amazonaws.com", for a service.
        keys: Condition keys that come with the principal, e.g. `aws:SourceArn`.
        administrator: Whether it is the one that each start makes, which may do everything.
    """

    arn: str
    user_id: str
    account: str
    role_arn: str | None = None
    service: str | None = None
    keys: Mapping[str, str] = field(default_factory=dict, hash=False)
    administrator: bool = False

    @property
    def arns(self) -> set[str]:
        """What a policy's Principal element can call it."""
        return {self.arn, self.role_arn or self.arn}

    @property
    def role_name(self) -> str | None:
        """The name, without the path, of the role that a session is of."""
        return self.role_arn.rpartition("/")[2] if self.role_arn else None


ANONYMOUS = Principal("anonymous", "anonymous", "")
"""Somebody who has signed nothing."""


@dataclass(frozen=True)
class AccessKey:
    """A secret access key and its owner; temporary keys have a session token, and may expire."""

    principal: Principal
    id: str
    secret: str = field(repr=False)
    token: str | None = field(default=None, repr=False)
    expires: datetime | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The variables that make any AWS SDK sign with it."""
        return {
            "AWS_ACCESS_KEY_ID": self.id,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_SESSION_TOKEN": self.token or "",
        }


def administrator(account: str) -> Principal:
    """The user that commands and tests act as."""
    arn = f"arn:aws:iam::{account}:user/administrator"
    return Principal(arn, "AIDALOCALADMINISTRATOR", account, administrator=True)


def make_administrator_key(account: str, folder: Path) -> AccessKey:
    """Makes a key for the administrator and writes it where `read_administrator_key` finds it."""
    key = _make(administrator(account), "AKIA", None)
    file = folder / _FILE
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(
            f"[default]\naws_access_key_id = {key.id}\naws_secret_access_key = {key.secret}\n"
        )
    return key


def read_administrator_key(account: str, folder: Path) -> AccessKey:
    """The key that the local AWS with this state folder made at its start.

    Raises:
        OSError: There is none.
    """
    parser = configparser.ConfigParser(interpolation=None)
    with (folder / _FILE).open(encoding="utf-8") as file:
        parser.read_file(file)
    found = parser["default"]
    return AccessKey(
        administrator(account), found["aws_access_key_id"], found["aws_secret_access_key"]
    )


class IssuedKeys:
    """Temporary keys of principals that act within this process or its children."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_principal: dict[Principal, AccessKey] = {}
        self._by_id: dict[str, AccessKey] = {}

    def add(self, key: AccessKey) -> None:
        """Makes a key valid."""
        self._by_id[key.id] = key

    def find(self, key_id: str) -> AccessKey | None:
        """The key of this id, if it was issued here."""
        return self._by_id.get(key_id)

    def issue(self, principal: Principal) -> AccessKey:
        """The principal's key, which it keeps."""
        with self._lock:
            if principal not in self._by_principal:
                self._by_principal[principal] = self.issue_another(principal)
            return self._by_principal[principal]

    def issue_another(self, principal: Principal) -> AccessKey:
        """A key of the principal that nothing else has."""
        key = _make(principal, "ASIA", secrets.token_urlsafe(120))
        self.add(key)
        return key

    def revoke(self, key: AccessKey) -> None:
        """Makes a key invalid."""
        self._by_id.pop(key.id, None)


def _make(principal: Principal, prefix: str, token: str | None) -> AccessKey:
    key_id = prefix + "".join(secrets.choice(_LETTERS) for _ in range(16))
    return AccessKey(principal, key_id, secrets.token_urlsafe(30), token)
