"""CloudWatch, CloudWatch Logs and EventBridge."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from moto.cloudwatch.models import CloudWatchBackend
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.events.models import events_backends
from moto.events.utils import EventMessageType
from moto.logs.models import LogStream, logs_backends

from local_aws.moto_adapter.patching import replace, service_lock

# Of each stream, all in memory; the files of .local/logs keep every line of functions and APIs.
KEPT_LINES: Final = 2_000


def find_event_targets(region: str, event: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The targets, as given to PutTargets, of the default bus's enabled rules that match.

    Each with the ARN of its rule.
    """
    bus = events_backends[DEFAULT_ACCOUNT_ID][region].describe_event_bus("default")
    return [
        (rule.arn, target)
        for rule in list(bus.rules.values())
        # For moto a rule without a pattern, which has a schedule, matches every event.
        if rule.state == "ENABLED" and rule.event_pattern.get_pattern()
        if rule.event_pattern.matches_event(cast(EventMessageType, event))
        for target in rule.targets
    ]


def put_log_lines(region: str, group: str, stream: str, lines: list[tuple[int, str]]) -> None:
    """Appends lines (time in ms, text) to a log stream; creates group and stream if needed."""
    backend = logs_backends[DEFAULT_ACCOUNT_ID][region]
    events = [{"timestamp": time, "message": text} for time, text in lines]
    with service_lock("logs"):
        if group not in backend.groups:
            backend.create_log_group(group, {})
        backend.ensure_log_stream(group, stream)
        backend.put_log_events(group, stream, events)


def key_of_log_group(name: str, region: str) -> str | None:
    """The KMS key that a log group is encrypted with, if it exists and has one."""
    group = logs_backends[DEFAULT_ACCOUNT_ID][region].groups.get(name)
    return None if group is None else group.kms_key_id


def set_key_of_log_group(name: str, region: str, key_id: str | None) -> None:
    """Encrypts a log group with another KMS key, or with none."""
    logs_backends[DEFAULT_ACCOUNT_ID][region].groups[name].kms_key_id = key_id


def _keep_newest(original: Callable[..., Any]) -> Any:
    def put(self: Any, *args: Any, **kwargs: Any) -> Any:
        token = original(self, *args, **kwargs)
        del self.events[:-KEPT_LINES]
        return token

    return put


def _keep_state(original: Callable[..., Any]) -> Any:
    def put(self: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        # moto replaces a changed alarm with a new one, and all new ones are OK.
        before = self.alarms.get(name)
        alarm = original(self, name, *args, **kwargs)
        if before is None:
            alarm.state_value = "INSUFFICIENT_DATA"
        else:
            alarm.state_value = before.state_value
            alarm.state_reason = before.state_reason
            alarm.state_reason_data = before.state_reason_data
            alarm.state_updated_timestamp = before.state_updated_timestamp
        return alarm

    return put


replace(CloudWatchBackend, "put_metric_alarm", _keep_state)
replace(LogStream, "put_log_events", _keep_newest)
