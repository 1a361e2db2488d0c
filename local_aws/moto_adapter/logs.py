"""CloudWatch Logs: lines that the local AWS itself writes."""

from __future__ import annotations

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.logs.models import logs_backends

from local_aws.moto_adapter.patching import service_lock


def put_log_lines(region: str, group: str, stream: str, lines: list[tuple[int, str]]) -> None:
    """Appends lines (time in ms, text) to a log stream; creates group and stream if needed."""
    backend = logs_backends[DEFAULT_ACCOUNT_ID][region]
    events = [{"timestamp": time, "message": text} for time, text in lines]
    with service_lock("logs"):
        if group not in backend.groups:
            backend.create_log_group(group, {})
        backend.ensure_log_stream(group, stream)
        backend.put_log_events(group, stream, events)
