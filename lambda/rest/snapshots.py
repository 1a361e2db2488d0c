"""What SnapStart's snapshots may hold.

Lambda imports the function once, when a version is published, and later restores that process any
number of times, hours or weeks later, with credentials of its own. So nothing that ages is fetched
at the import: no credentials, no parameters, no connections.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from botocore.credentials import CredentialResolver, Credentials, ReadOnlyCredentials
from botocore.exceptions import NoCredentialsError
from botocore.session import Session
from snapshot_restore_py import register_after_restore, register_before_snapshot

_PROVIDER = "credential_provider"


def prepare_for_snapshots(load: Callable[[], None]) -> None:
    """Calls `load` before a snapshot is taken, so that no restored function has to.

    Without SnapStart it is never called: what the first request does not need would only delay it.
    """
    register_before_snapshot(load)
    # Or all restored functions would wait equally long before their retries.
    register_after_restore(random.seed)


def session_without_credentials() -> Session:
    """A session whose clients look for credentials when they first sign a request."""
    session = Session()
    found = _LateCredentials(session.get_component(_PROVIDER))
    session.register_component(_PROVIDER, _Resolved(found))
    return session


class _Resolved:
    """Stands in for botocore's resolver, which would ask Lambda for credentials at once."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def load_credentials(self) -> Credentials:
        return self._credentials


class _LateCredentials(Credentials):
    """The credentials that a resolver finds when they are first needed."""

    def __init__(self, resolver: CredentialResolver) -> None:
        super().__init__("", "", method="late")
        self._resolver = resolver
        self._found: Credentials | None = None

    def get_frozen_credentials(self) -> ReadOnlyCredentials:
        """What a request is signed with; they renew themselves."""
        if self._found is None:
            self._found = self._resolver.load_credentials()
        if self._found is None:
            raise NoCredentialsError
        return self._found.get_frozen_credentials()
