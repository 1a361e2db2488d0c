"""EventBridge: which rules an event matches."""

from __future__ import annotations

from typing import Any, cast

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.events.models import events_backends
from moto.events.utils import EventMessageType


def find_event_targets(region: str, event: dict[str, Any]) -> list[dict[str, Any]]:
    """The targets, as PutTargets took them, of enabled rules of the default bus that match."""
    bus = events_backends[DEFAULT_ACCOUNT_ID][region].describe_event_bus("default")
    return [
        target
        for rule in list(bus.rules.values())
        # For moto a rule without a pattern, which has a schedule, matches every event.
        if rule.state == "ENABLED" and rule.event_pattern.get_pattern()
        if rule.event_pattern.matches_event(cast(EventMessageType, event))
        for target in rule.targets
    ]
