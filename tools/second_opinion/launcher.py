"""Starts MiniStack with SageMaker beside it: `python launcher.py URL`.

Runs in an environment of its own, which has none of this project's packages. MiniStack knows no
SageMaker: its resource types, its operations, and Step Functions' calls of them are sent to URL.
"""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from ministack import app
from ministack.services import stepfunctions
from ministack.services.cloudformation import provisioners, stacks

_TYPES = ("AWS::SageMaker::Endpoint", "AWS::SageMaker::EndpointConfig", "AWS::SageMaker::Model")
_URL = sys.argv.pop()
_Answer = tuple[int, dict[str, str], bytes]


def _send(path: str, body: bytes, headers: Mapping[str, str]) -> _Answer:
    request = urllib.request.Request(_URL + path, body, dict(headers), method="POST")  # noqa: S310
    try:
        answer = urllib.request.urlopen(request)  # noqa: S310  our own URL
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        kept = {
            k: v for k, v in answer.headers.items() if k.lower().startswith(("content-type", "x-"))
        }
        return answer.status, kept, answer.read()


async def _operation(
    _method: str, path: str, headers: Mapping[str, str], body: bytes | str, _query: object
) -> _Answer:
    kept = {
        k: v for k, v in headers.items() if k.lower().startswith(("accept", "content-t", "x-amz"))
    }
    content = body.encode() if isinstance(body, str) else body
    return await asyncio.to_thread(_send, path, content, kept)


def _resource(verb: str, **request: Any) -> dict[str, Any]:
    status, _, body = _send(f"/resource/{verb}", json.dumps(request).encode(), {})
    answer: dict[str, Any] = json.loads(body)
    if status != 200:
        raise ValueError(answer["reason"])
    return answer


def _handlers(kind: str) -> dict[str, Any]:
    def create(logical_id: str, properties: dict[str, Any], stack: str) -> tuple[str, Any]:
        made = _resource(
            "create", type=kind, logical_id=logical_id, properties=properties, stack_name=stack
        )
        return made["physical_id"], made["attributes"]

    def delete(physical_id: str, properties: dict[str, Any]) -> None:
        _resource("delete", type=kind, physical_id=physical_id, properties=properties)

    return {"create": create, "delete": delete}


def main() -> None:
    """Adds SageMaker and serves."""
    provisioners._RESOURCE_HANDLERS.update({kind: _handlers(kind) for kind in _TYPES})
    blocks = stacks._runs_on_worker_thread
    stacks._runs_on_worker_thread = lambda kind: kind in _TYPES or blocks(kind)
    stepfunctions._AWS_SDK_SERVICE_MAP["sagemaker"] = {
        "target_prefix": "SageMaker",
        "protocol": "json",
    }
    stepfunctions._AWS_SDK_ERROR_PREFIX["sagemaker"] = "SageMaker"
    app.SERVICE_HANDLERS["sagemaker"] = _operation
    app.main()


if __name__ == "__main__":
    main()
