"""Custom resources: a Lambda function gets the request and puts its answer to a URL.

AWS invokes the function asynchronously. If it raises, AWS invokes it again after one and two
minutes; after that nothing answers, and the resource fails once ServiceTimeout has passed. Here
the two retries follow at once, and after the last the resource fails with what the function
raised. A function that returns without answering may have left that to another, so its answer is
awaited until ServiceTimeout.
"""

from __future__ import annotations

import json
import logging
import threading
import uuid
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local_aws.cloudformation.functions import Value
from local_aws.cloudformation.resources.base import (
    CancelledError,
    Provider,
    Request,
    ResourceError,
    Result,
)

RESPONSE_PATH = "/cloudformation/responses/"
ATTEMPTS = 3
LARGEST_RESPONSE = 4096
# Instead of SUCCESS or FAILED: the function raised, so no answer will come.
RAISED = "RAISED"

logger = logging.getLogger(__name__)


def stringified(value: Value) -> Value:
    """`value` as CloudFormation hands it to functions: numbers and booleans as strings."""
    if isinstance(value, dict):
        return {key: stringified(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [stringified(item) for item in value]
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


@dataclass
class _Pending:
    """A request that awaits its answer."""

    event: dict[str, Value]
    answer: Future[dict[str, Value]] = field(default_factory=Future)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def settle(self, answer: dict[str, Value]) -> None:
        """Takes the first answer; later ones are ignored."""
        with self.lock:
            if not self.answer.done():
                self.answer.set_result(answer)


class CustomResources(Provider):
    """Provider of `Custom::*` and `AWS::CloudFormation::CustomResource`."""

    def __init__(self) -> None:
        self._pending: dict[str, _Pending] = {}

    def create(self, request: Request) -> Result:
        invented = request.name()
        try:
            answer = self._ask(request, "Create", {})
        except CancelledError as error:
            raise CancelledError(error.reason, invented) from None
        if answer["Status"] != "SUCCESS":
            raise ResourceError(_reason(answer), answer.get("PhysicalResourceId") or invented)
        if not answer.get("PhysicalResourceId"):
            raise ResourceError("Invalid PhysicalResourceId", invented)
        return _result(answer)

    def update(self, request: Request) -> Result:
        if request.properties.get("ServiceToken") != request.old.get("ServiceToken"):
            raise ResourceError("Modifying service token is not allowed.")
        known = {"PhysicalResourceId": request.physical_id}
        old = {"OldResourceProperties": stringified(request.old)}
        answer = self._ask(request, "Update", {**known, **old})
        if answer["Status"] != "SUCCESS":
            raise ResourceError(_reason(answer), answer.get("PhysicalResourceId"))
        return _result({**known, **answer})

    def delete(self, request: Request) -> None:
        answer = self._ask(request, "Delete", {"PhysicalResourceId": request.physical_id})
        if answer["Status"] != "SUCCESS":
            raise ResourceError(_reason(answer))

    def respond(self, token: str, body: bytes) -> bool:
        """Takes what was put to a ResponseURL; False if no request awaits it."""
        pending = self._pending.get(token)
        if pending is None:
            return False
        pending.settle(_checked(body, pending.event))
        return True

    def _ask(self, request: Request, kind: str, more: dict[str, Value]) -> dict[str, Value]:
        token = uuid.uuid4().hex
        event = {
            "RequestType": kind,
            "RequestId": str(uuid.uuid4()),
            "ResponseURL": f"{request.context.endpoint_url}{RESPONSE_PATH}{token}",
            "StackId": request.stack_id,
            "ResourceType": request.type,
            "LogicalResourceId": request.logical_id,
            "ServiceToken": request.properties["ServiceToken"],
            "ResourceProperties": stringified(request.properties),
            **more,
        }
        pending = self._pending[token] = _Pending(event)
        timeout = float(request.properties.get("ServiceTimeout", 3600))
        threading.Thread(
            target=self._invoke, args=(request, pending), name=f"custom-{token}", daemon=True
        ).start()
        try:
            request.wait_until(
                pending.answer.done, seconds=timeout, what=f"{request.logical_id} {kind.lower()}"
            )
        except CancelledError:
            raise
        except ResourceError:
            raise ResourceError(
                "CloudFormation did not receive a response from your Custom Resource within "
                f"{timeout:.0f} seconds. Please check your logs for requestId "
                f"[{event['RequestId']}]."
            ) from None
        finally:
            del self._pending[token]
        return pending.answer.result()

    def _invoke(self, request: Request, pending: _Pending) -> None:
        function: str = pending.event["ServiceToken"]
        payload = json.dumps(pending.event).encode()
        for _ in range(ATTEMPTS):
            try:
                answer = request.client("lambda").invoke(FunctionName=function, Payload=payload)
            except (ClientError, BotoCoreError) as error:
                pending.settle({"Status": RAISED, "Reason": str(error)})
                return
            said = answer["Payload"].read().decode("utf-8", "replace")
            if "FunctionError" not in answer:
                return
            logger.error("%s raised for %s: %s", function, request.logical_id, said)
            if pending.answer.done():
                return
        reason = f"{function.rsplit(':', maxsplit=1)[-1]}: {_message(said)}"
        pending.settle({"Status": RAISED, "Reason": reason})


def _message(said: str) -> str:
    try:
        error = json.loads(said)
        return f"{error['errorType']}: {error['errorMessage']}"
    except (ValueError, KeyError, TypeError):
        return said[:500]


def _checked(body: bytes, event: dict[str, Value]) -> dict[str, Value]:
    if len(body) > LARGEST_RESPONSE:
        return {"Status": "FAILED", "Reason": "Response object is too long."}
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict) or answer.get("Status") not in {"SUCCESS", "FAILED"}:
        return {"Status": "FAILED", "Reason": "Invalid response object: no valid Status in it"}
    for key in ("RequestId", "StackId", "LogicalResourceId"):
        if answer.get(key) != event[key]:
            reason = f"Invalid response object: Value of property {key} must match the request"
            return {"Status": "FAILED", "Reason": reason}
    return answer


def _reason(answer: dict[str, Value]) -> str:
    reason = answer.get("Reason") or "the custom resource gave no reason"
    if answer["Status"] == RAISED:
        return f"The function of the custom resource failed without an answer: {reason}"
    return f"Received response status [FAILED] from custom resource. Message returned: {reason}"


def _result(answer: dict[str, Value]) -> Result:
    data: dict[str, Any] = answer.get("Data") or {}
    return Result(answer["PhysicalResourceId"], data)
