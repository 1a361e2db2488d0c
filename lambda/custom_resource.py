"""What every custom resource needs: answers to CloudFormation, and its stack's status."""

from __future__ import annotations

import json
import logging
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from types_boto3_cloudformation import CloudFormationClient

# CloudFormation drops a longer answer and then waits for its time-out.
MAX_ANSWER_BYTES = 4096
_ATTEMPTS = 4
_TIMEOUT_SECONDS = 10.0

logger = logging.getLogger(__name__)


def answer(
    event: Mapping[str, Any],
    status: Literal["SUCCESS", "FAILED"],
    *,
    physical_id: str,
    data: Mapping[str, str] | None = None,
    reason: str = "",
) -> None:
    """Answers one request; CloudFormation ignores any answer after the first.

    Args:
        event: the request as CloudFormation sent it.
        physical_id: the PhysicalResourceId; a new one means replacement.
        data: what `Fn::GetAtt` can read.
        reason: a sentence for the stack's events, cut where the answer would pass 4,096 bytes.

    Raises:
        OSError: the answer could not be delivered in four attempts. Let it escape: Lambda
            repeats an asynchronous invocation, and Step Functions its task.
    """
    body = _body(event, status, physical_id, data or {}, reason)
    logger.info("Answering %s for %s: %s", status, event["LogicalResourceId"], reason or data)
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
            logger.warning("Attempt %d to answer CloudFormation failed: %s", attempt, error)
            if attempt == _ATTEMPTS or _is_final(error):
                raise
            time.sleep(2.0 ** (attempt - 1))


def _is_final(error: OSError) -> bool:
    """Whether repeating cannot help: the URL has expired or was never valid."""
    return isinstance(error, urllib.error.HTTPError) and 400 <= error.code < 500


def _body(
    event: Mapping[str, Any],
    status: str,
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
    while len(body := json.dumps(document, ensure_ascii=False).encode()) > MAX_ANSWER_BYTES:
        if not reason:
            break
        # Step by step, since a character takes one to six bytes of JSON.
        reason = reason[: len(reason) * 9 // 10]
        document["Reason"] = f"{reason}…"
    return body


def is_rolling_back(cloudformation: CloudFormationClient, stack_id: str) -> bool:
    """Whether CloudFormation is undoing a deployment, when a failure would break the stack.

    A status that cannot be read counts as a deployment's, so that failures are reported.
    """
    try:
        return "ROLLBACK" in _stack_status(cloudformation, stack_id)
    except Exception:
        logger.exception("The stack's status cannot be read; assuming a deployment")
        return False


def is_going_away(cloudformation: CloudFormationClient, stack_id: str) -> bool:
    """Whether the whole stack is being deleted, or its creation undone."""
    status = _stack_status(cloudformation, stack_id)
    return status in ("DELETE_IN_PROGRESS", "ROLLBACK_IN_PROGRESS")


def _stack_status(cloudformation: CloudFormationClient, stack_id: str) -> str:
    return cloudformation.describe_stacks(StackName=stack_id)["Stacks"][0]["StackStatus"]
