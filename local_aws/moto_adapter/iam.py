"""IAM: AWS's managed policies, which moto would parse again for each partition and reset."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any

from moto.iam.models import IAMBackend, ManagedPolicy
from moto.settings import load_iam_aws_managed_policies
from moto.utilities.utils import get_partition

from local_aws.moto_adapter.patching import replace


def _read_once(original: Callable[..., Any]) -> Any:
    known: dict[tuple[str, str], list[ManagedPolicy]] = {}

    def init(self: Any) -> list[ManagedPolicy]:
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
