"""S3: what it tells of new objects, and what moto does otherwise than AWS."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from moto.iam.access_control import PermissionResult
from moto.s3 import notifications
from moto.s3.models import FakeBucket
from moto.s3.responses import S3Response

from local_aws.moto_adapter.patching import replace

_CREATED = {
    "s3:ObjectCreated:Put": "PutObject",
    "s3:ObjectCreated:Post": "POST Object",
    "s3:ObjectCreated:Copy": "CopyObject",
    "s3:ObjectCreated:CompleteMultipartUpload": "CompleteMultipartUpload",
}


@dataclass(frozen=True)
class CreatedObject:
    """An object that has just come about in a bucket that reports to EventBridge.

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
    """Is told of new objects."""

    def object_created(self, created: CreatedObject) -> None:
        """Is called in the request that made the object, when others can read it."""


# The newest comes last and is told; with none, moto does what it does by itself.
_listeners: list[ObjectListener] = []


def add_object_listener(listener: ObjectListener) -> None:
    """Tells `listener` of new objects from now on."""
    _listeners.append(listener)


def remove_object_listener(listener: ObjectListener) -> None:
    """Undoes `add_object_listener`."""
    if listener in _listeners:
        _listeners.remove(listener)


def _tell_listener(original: Callable[..., Any]) -> Any:
    def send(account_id: str, bucket: Any, event_name: str, key: Any) -> None:
        # moto's own event has another form than AWS's and reaches no function.
        if not _listeners:
            original(account_id, bucket, event_name, key)
        elif event_name in _CREATED:
            _listeners[-1].object_created(
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


def _tell_once(original: Callable[..., Any]) -> Any:
    def send(account_id: str, event_name: str, bucket: Any, key: Any) -> None:
        # moto tells of a multipart upload twice: as a Put as well.
        if event_name != "s3:ObjectCreated:Put" or key.multipart is None:
            original(account_id, event_name, bucket, key)

    return send


def _enforce_no_policy(_original: Callable[..., Any]) -> Any:
    # moto does not evaluate conditions: a policy that demands TLS would deny everything.
    return lambda *_: PermissionResult.NEUTRAL


_putting = threading.Lock()


def _put_one_after_the_other(original: Callable[..., Any]) -> Any:
    def put(self: Any) -> Any:
        # Between moto's look for the object and its putting it, another may come.
        if "If-None-Match" not in self.headers:
            return original(self)
        with _putting:
            return original(self)

    return put


replace(notifications, "_send_event_bridge_message", _tell_listener)
replace(notifications, "send_event", _tell_once)
replace(FakeBucket, "get_permission", _enforce_no_policy)
replace(S3Response, "put_object", _put_one_after_the_other)
