"""CloudWatch: alarms, whose states SetAlarmState sets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from moto.cloudwatch.models import CloudWatchBackend

from local_aws.moto_adapter.patching import replace


def _keep_state(original: Callable[..., Any]) -> Any:
    def put(self: Any, name: str, *args: Any, **kwargs: Any) -> Any:
        # moto replaces a changed alarm by a new one in state OK.
        before = self.alarms.get(name)
        alarm = original(self, name, *args, **kwargs)
        if before is not None:
            alarm.state_value = before.state_value
            alarm.state_reason = before.state_reason
            alarm.state_reason_data = before.state_reason_data
            alarm.state_updated_timestamp = before.state_updated_timestamp
        return alarm

    return put


replace(CloudWatchBackend, "put_metric_alarm", _keep_state)
