"""IAM and STS: AWS's managed policies, and who calls."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any, Protocol

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.core.responses import BaseResponse
from moto.iam.models import IAMBackend, ManagedPolicy
from moto.settings import load_iam_aws_managed_policies
from moto.sts.models import STSBackend
from moto.utilities.utils import get_partition

from local_aws.moto_adapter.patching import Substitutes, replace


class CallerIdentities(Protocol):
    """Knows the owners of access keys."""

    def identity(self, access_key_id: str) -> tuple[str, str, str]:
        """User id, ARN and account of a key's owner."""


caller_identities = Substitutes[CallerIdentities]()


def _ask_substitute(original: Callable[..., Any]) -> Any:
    def get_caller_identity(self: Any, access_key_id: str, region: str) -> tuple[str, str, str]:
        # moto knows only those whose keys it made.
        known = caller_identities.current
        found: tuple[str, str, str] = (
            known.identity(access_key_id) if known else original(self, access_key_id, region)
        )
        return found

    return get_caller_identity


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


def _only_account(_original: Callable[..., Any]) -> Any:
    # moto looks for the caller's key in every partition, and makes each with all its policies.
    return lambda _self: DEFAULT_ACCOUNT_ID


replace(IAMBackend, "_init_aws_policies", _read_once)
replace(BaseResponse, "get_current_account", _only_account)
replace(STSBackend, "get_caller_identity", _ask_substitute)
