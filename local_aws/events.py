"""EventBridge's delivery of events that AWS services report.

moto keeps the rules and matches events against their patterns, but its services report nothing
and it does not deliver to Lambda functions.
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from local_aws import moto_adapter
from local_aws.context import Context
from local_aws.iam.access import Access

logger = logging.getLogger(__name__)
_TRANSFORMS = ("Input", "InputPath", "InputTransformer")


def deliver(
    context: Context,
    access: Access,
    *,
    source: str,
    detail_type: str,
    detail: dict[str, Any],
    resources: Sequence[str],
) -> None:
    """Delivers an event to the Lambda targets of all enabled rules that match it.

    Only on the default bus, only to functions, and only unchanged: targets of other kinds, or
    with transformations, are logged and get nothing.

    Args:
        source: E.g. "aws.states".
        detail_type: E.g. "Step Functions Execution Status Change".
        resources: ARNs of what the event is about.
    """
    event = {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": detail_type,
        "source": source,
        "account": context.account_id,
        "time": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": context.region,
        "resources": list(resources),
        "detail": detail,
    }
    for rule, target in moto_adapter.find_event_targets(context.region, event):
        if ":lambda:" not in target["Arn"] or any(name in target for name in _TRANSFORMS):
            logger.error("Event %s is not delivered to %s", detail_type, target)
            continue
        try:
            # The function's own policy has to let the rule invoke it.
            service = access.service("events.amazonaws.com", rule)
            access.client(service, "lambda").invoke(
                FunctionName=target["Arn"],
                InvocationType="Event",
                Payload=json.dumps(event),
            )
        except Exception as error:
            logger.error("Event %s is not delivered to %s: %s", detail_type, target["Arn"], error)


class ObjectEvents:
    """Reports each new object in buckets that have EventBridge enabled."""

    def __init__(self, context: Context, access: Access) -> None:
        self._context = context
        self._access = access
        moto_adapter.object_listeners.add(self)

    def object_created(self, created: moto_adapter.CreatedObject) -> None:
        """Delivers "Object Created"."""
        described = {
            "key": created.key,
            "size": created.size,
            "etag": created.etag,
            "sequencer": f"{time.time_ns():018X}",
        }
        if created.version_id is not None:
            described["version-id"] = created.version_id
        deliver(
            self._context,
            self._access,
            source="aws.s3",
            detail_type="Object Created",
            detail={
                "version": "0",
                "bucket": {"name": created.bucket},
                "object": described,
                "request-id": uuid.uuid4().hex[:16].upper(),
                "requester": self._context.account_id,
                "source-ip-address": "127.0.0.1",
                "reason": created.reason,
            },
            resources=[f"arn:aws:s3:::{created.bucket}"],
        )

    def close(self) -> None:
        """Stops reporting."""
        moto_adapter.object_listeners.remove(self)
