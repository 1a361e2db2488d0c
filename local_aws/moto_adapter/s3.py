"""S3: reports new objects, corrects where moto differs, and keeps large objects on disk.

moto holds several copies of an object in memory; ours have hundreds of megabytes.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import IO, Any, Protocol

from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.iam.access_control import PermissionResult
from moto.s3 import notifications
from moto.s3.exceptions import EntityTooSmall, InvalidPart, MalformedXML
from moto.s3.models import (
    FakeBucket,
    FakeKey,
    FakeMultipart,
    MultipartChecksumBuilder,
    s3_backends,
)
from moto.s3.responses import S3Response
from moto.settings import S3_UPLOAD_PART_MIN_SIZE

from local_aws.moto_adapter.patching import Substitutes, replace

_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
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


@dataclass(frozen=True)
class CorsRule:
    """A rule of a bucket's CORS configuration.

    Attributes:
        max_age: Seconds.
    """

    origins: list[str]
    methods: list[str]
    headers: list[str]
    exposed: list[str]
    max_age: str | None


def cors_rules(bucket: str) -> list[CorsRule]:
    """A bucket's CORS rules in order; none if there is no such bucket."""
    found = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets.get(bucket)
    return [
        CorsRule(
            rule.allowed_origins,
            rule.allowed_methods,
            rule.allowed_headers or [],
            rule.exposed_headers or [],
            rule.max_age_seconds,
        )
        for rule in (found.cors if found else [])
    ]


class ObjectListener(Protocol):
    """Is notified of new objects."""

    def object_created(self, created: CreatedObject) -> None:
        """Called within the request that created the object, once others can read it."""


object_listeners = Substitutes[ObjectListener]()


def _report_to_listener(original: Callable[..., Any]) -> Any:
    def send(account_id: str, bucket: Any, event_name: str, key: Any) -> None:
        listener = object_listeners.current
        if listener is None:
            # moto's own event differs from AWS's and reaches no function.
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


def _no_cors_headers(_original: Callable[..., Any]) -> Any:
    # moto adds those of the last rule, whatever it is for.
    return lambda _self: {}


_putting = threading.Lock()


def _put_one_at_a_time(original: Callable[..., Any]) -> Any:
    def put(self: Any) -> Any:
        # Another request could put the object between moto's check and its own put.
        if "If-None-Match" not in self.headers:
            return original(self)
        with _putting:
            return original(self)

    return put


class _Reading(threading.local):
    """The first and last byte that this thread's request wants, and what it got."""

    wanted: tuple[int, int | None] | None = None
    got: tuple[int, int, int] | None = None  # first, last, size of the object


_reading = _Reading()


def _read(key: Any) -> bytes:
    first, last = _reading.wanted or (0, None)
    with key.lock:
        size = key.contentsize
        if _reading.wanted and first < size:
            last = size - 1 if last is None else min(last, size - 1)
            _reading.got = (first, last, size)
        else:  # everything, or a range that moto refuses
            first, last = 0, size - 1
        key._value_buffer.seek(first)
        content: bytes = key._value_buffer.read(last - first + 1)
        return content


class _OnDisk:
    """An object's content in an open file, which then belongs to the object.

    Args:
        size: Bytes.
    """

    def __init__(self, file: IO[bytes], size: int) -> None:
        self.file = file
        self._size = size

    def __len__(self) -> int:
        return self._size


def _write(key: Any, value: Any) -> None:
    if isinstance(value, _OnDisk):
        key._value_buffer.close()
        key._value_buffer = value.file
        key.contentsize = len(value)
        return
    # moto would fill memory first and move to the disk later.
    if len(value) > key._max_buffer_size:
        key._value_buffer.rollover()
    _write_as_moto(key, value)


def _read_range(original: Callable[..., Any]) -> Any:
    def get(self: Any) -> Any:
        # moto reads the whole object for each range of it.
        asked = _RANGE.fullmatch(self.headers.get("range") or "")
        if asked is None or (asked[2] and int(asked[2]) < int(asked[1])):
            return original(self)
        _reading.wanted = int(asked[1]), int(asked[2]) if asked[2] else None
        _reading.got = None
        try:
            status, headers, content = original(self)
            got = _reading.got
        finally:
            _reading.wanted = _reading.got = None
        if status != 200 or got is None:
            return status, headers, content
        first, last, size = got
        headers = {k: v for k, v in headers.items() if not k.startswith("x-amz-checksum-")}
        headers["content-range"] = f"bytes {first}-{last}/{size}"
        headers["content-length"] = str(len(content))
        return 206, headers, content

    return get


def _join_on_disk(_original: Callable[..., Any]) -> Any:
    def complete(self: Any, body: Iterable[tuple[int, str]]) -> Any:
        parts: list[Any] = []
        for number, etag in body:
            part = self.parts.get(number)
            if part is None or part.etag.strip('"') != etag.strip('"'):
                raise InvalidPart
            if parts and parts[-1].size < S3_UPLOAD_PART_MIN_SIZE:
                raise EntityTooSmall
            parts.append(part)
        if not parts:
            raise MalformedXML
        algorithm = self.metadata.get("x-amz-checksum-algorithm")
        checksums = MultipartChecksumBuilder(algorithm, self.metadata.get("x-amz-checksum-type"))
        digests = hashlib.md5(usedforsecurity=False)
        whole = tempfile.TemporaryFile()  # noqa: SIM115  belongs to the object
        for part in parts:
            digests.update(bytes.fromhex(part.etag.strip('"')))
            content = part.value
            whole.write(content)
            if algorithm:
                checksums.addPart(content)
        value = _OnDisk(whole, whole.tell())
        # moto keeps the parts as long as the object.
        self.dispose()
        self.parts.clear()
        built = checksums.build() if algorithm else None
        return value, f"{digests.hexdigest()}-{len(parts)}", built

    return complete


replace(notifications, "_send_event_bridge_message", _report_to_listener)
replace(notifications, "send_event", _report_once)
replace(FakeBucket, "get_permission", _enforce_no_policy)
replace(S3Response, "put_object", _put_one_at_a_time)
_write_as_moto: Callable[[Any, Any], None] = FakeKey.value.fset  # type: ignore[attr-defined]
FakeKey.value = property(_read, _write)  # type: ignore[assignment,method-assign]
replace(S3Response, "get_object", _read_range)
replace(S3Response, "_get_cors_headers_other", _no_cors_headers)
replace(FakeMultipart, "complete", _join_on_disk)
