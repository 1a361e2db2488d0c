"""S3: reports of new objects, and where moto differs from AWS."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from moto.iam.access_control import PermissionResult
from moto.s3 import notifications
from moto.s3.models import FakeBucket
from moto.s3.responses import S3Response

from local_aws.moto_adapter.patching import Substitutes, replace

_CREATED = {
    "s3:ObjectCreated:Put": "PutObject",
    "s3:ObjectCreated:Post": "POST Object",
    "s3:ObjectCreated:Copy": "CopyObject",
    "s3:ObjectCreated:CompleteMultipartUpload": "CompleteMultipartUpload",
}


@dataclass(frozen=True)
class CreatedObject:
    """A new object in a bucket that reports to EventBridge.

    Attributes:
        size: Bytes.
        etag: Without quotes.
        version_id: None in a bucket without versions.
        reason: The operation, e.g. "PutObject".
    """

    bucket: str
    region: str
    key: str
    size: int
    etag: str
    version_id: str | None
    reason: str


class ObjectListener(Protocol):
    """Learns of new objects."""

    def object_created(self, created: CreatedObject) -> None:
        """Called within the request that created the object, once others can read it."""


object_listeners = Substitutes[ObjectListener]()


def _report_to_listener(original: Callable[..., Any]) -> Any:
    def send(account_id: str, bucket: Any, event_name: str, key: Any) -> None:
        listener = object_listeners.current
        if listener is None:
            # moto's own event has another form than AWS's and reaches no function.
            original(account_id, bucket, event_name, key)
        elif event_name in _CREATED:
            listener.object_created(
                CreatedObject(
                    bucket=bucket.name,
                    region=bucket.region_name,
                    key=key.name,
                    size=key.size,
                    etag=key.etag.strip('"'),
                    version_id=key.version_id if bucket.is_versioned else None,
                    reason=_CREATED[event_name],
                )
            )

    return send


def _report_once(original: Callable[..., Any]) -> Any:
    def send(account_id: str, event_name: str, bucket: Any, key: Any) -> None:
        # moto reports a multipart upload twice: as a Put, too.
        if event_name != "s3:ObjectCreated:Put" or key.multipart is None:
            original(account_id, event_name, bucket, key)

    return send


def _enforce_no_policy(_original: Callable[..., Any]) -> Any:
    # moto does not evaluate conditions: a policy that demands TLS would deny everything.
    return lambda *_: PermissionResult.NEUTRAL


_putting = threading.Lock()


def _put_one_at_a_time(original: Callable[..., Any]) -> Any:
    def put(self: Any) -> Any:
        # Another request could put the object between moto's check and its own put.
        if "If-None-Match" not in self.headers:
            return original(self)
        with _putting:
            return original(self)

    return put


replace(notifications, "_send_event_bridge_message", _report_to_listener)
replace(notifications, "send_event", _report_once)
replace(FakeBucket, "get_permission", _enforce_no_policy)
replace(S3Response, "put_object", _put_one_at_a_time)
