"""Answers to CloudFormation, which waits for a document at the ResponseURL of its request."""

from __future__ import annotations

import json
import logging
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any, Literal

Status = Literal["SUCCESS", "FAILED"]

# CloudFormation drops a longer answer and then waits until its time-out.
MAX_ANSWER_BYTES = 4096
_ATTEMPTS = 4
_TIMEOUT_SECONDS = 10.0

_log = logging.getLogger(__name__)


def answer(
    event: Mapping[str, Any],
    status: Status,
    *,
    physical_id: str,
    data: Mapping[str, str] | None = None,
    reason: str = "",
) -> None:
    """Answer one custom resource request.

    A second answer to the same request is harmless: CloudFormation heeds the first.

    Args:
        event: the request as CloudFormation sent it.
        status: "SUCCESS" or "FAILED".
        physical_id: the PhysicalResourceId; another one than before means replacement.
        data: what `Fn::GetAtt` can read.
        reason: a sentence for the stack's events, cut where the whole answer would
            otherwise pass 4,096 bytes.

    Raises:
        OSError: the answer could not be delivered in four attempts. Let it escape: Lambda
            then repeats the asynchronous invocation, and Step Functions its task.
    """
    body = _body(event, status, physical_id, data or {}, reason)
    _log.info("Answering %s for %s: %s", status, event["LogicalResourceId"], reason or data)
    # An empty content type, because the signature of the URL was made for one.
    request = urllib.request.Request(  # noqa: S310 - the URL is CloudFormation's own
        event["ResponseURL"], data=body, method="PUT", headers={"Content-Type": ""}
    )
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS):  # noqa: S310
                return
        except OSError as error:
            # The URL is a credential, so only the error's own words are logged.
            _log.warning("Attempt %d to answer CloudFormation failed: %s", attempt, error)
            if attempt == _ATTEMPTS or _is_final(error):
                raise
            time.sleep(2.0 ** (attempt - 1))


def _is_final(error: OSError) -> bool:
    """Whether repeating cannot help: the URL has expired or was never good."""
    return isinstance(error, urllib.error.HTTPError) and 400 <= error.code < 500


def _body(
    event: Mapping[str, Any],
    status: Status,
    physical_id: str,
    data: Mapping[str, str],
    reason: str,
) -> bytes:
    document: dict[str, Any] = {
        "Status": status,
        "Reason": reason,
        "PhysicalResourceId": physical_id,
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
    }
    if data:
        document["Data"] = dict(data)
    body = _encode(document)
    while len(body) > MAX_ANSWER_BYTES and reason:
        # By steps, since a character takes one to six bytes of JSON.
        reason = reason[: len(reason) * 9 // 10]
        document["Reason"] = reason + "…"
        body = _encode(document)
    return body


def _encode(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode()
