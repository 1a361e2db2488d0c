"""IAM: AWS's managed policies; moto reads its list of them again for every account and reset."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.iam.models import IAMBackend, ManagedPolicy
from moto.settings import load_iam_aws_managed_policies

from local_aws.moto_adapter.patching import replace


def _read_once(original: Callable[..., Any]) -> Any:
    known: dict[tuple[str, str], list[ManagedPolicy]] = {}

    def init(self: Any) -> list[ManagedPolicy]:
        if not load_iam_aws_managed_policies():
            return []
        whose = self.account_id, self.region_name
        if whose not in known:
            known[whose] = original(self)
        for policy in known[whose]:
            # All that anyone but AWS can change of them.
            policy.attachment_count = 0
        return list(known[whose])

    return init


replace(IAMBackend, "_init_aws_policies", _read_once)
