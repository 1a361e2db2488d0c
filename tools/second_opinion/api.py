"""What a deployed API answers."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

import urllib3

from tools.second_opinion.emulators import Emulator
from tools.second_opinion.facts import Fact, Facts, flat

_JSON = {"Content-Type": "application/json"}
_SEARCH = {"queries": ["How do I stop paying for an endpoint I no longer need?"], "top_k": 2}
# Method, path, headers, body.
_REQUESTS: dict[str, tuple[str, str, dict[str, str], Any]] = {
    "a search": ("POST", "/search", _JSON, _SEARCH),
    "an embedding": ("POST", "/embed", _JSON, {"texts": ["Grüße"]}),
    "the endpoints": ("GET", "/endpoints", {}, None),
    "the health": ("GET", "/health", {}, None),
    "a search without a key": ("POST", "/search", {**_JSON, "x-api-key": ""}, _SEARCH),
    "a search with a wrong key": ("POST", "/search", {**_JSON, "x-api-key": "wrong"}, _SEARCH),
    "no JSON": ("POST", "/search", _JSON, b"{"),
    "a wrong field": ("POST", "/search", _JSON, {"queries": []}),
    "a wrong type of content": ("POST", "/search", {"Content-Type": "text/plain"}, _SEARCH),
    "a wrong method": ("GET", "/search", {}, None),
    "a wrong path": ("GET", "/nothing", {}, None),
    "an unknown batch": ("GET", "/batch/00000000000000000000000000000000", {}, None),
}
_HEADERS = ("content-type", "retry-after", "x-amzn-errortype")
_LINES = b'{"id": "1", "text_inputs": "one"}\n{"id": "2", "text_inputs": "two"}\n'
_BATCH_SECONDS = 120


def ask(emulator: Emulator, stacks: Sequence[str]) -> Facts:
    """Sends each request, and a batch."""
    context = emulator.context
    found = {
        resource["ResourceType"]: resource["PhysicalResourceId"]
        for page in context.client("cloudformation")
        .get_paginator("list_stack_resources")
        .paginate(StackName=next(name for name in stacks if name.endswith("FrontDoor")))
        for resource in page["StackResourceSummaries"]
    }
    api, stage = (found[f"AWS::ApiGateway::{kind}"] for kind in ("RestApi", "Stage"))
    url = context.endpoint_url + emulator.api_path.format(api=api, stage=stage)
    key = context.client("apigateway").get_api_key(
        apiKey=found["AWS::ApiGateway::ApiKey"], includeValue=True
    )["value"]
    pool = urllib3.PoolManager(retries=False, timeout=60, headers={"x-api-key": key})

    def send(
        method: str, path: str, headers: dict[str, str], body: Any
    ) -> tuple[Any, dict[str, Any]]:
        content = json.dumps(body).encode() if isinstance(body, dict) else body
        given = {k: v for k, v in {"x-api-key": key, **headers}.items() if v}
        answer = pool.request(method, url + path, headers=given, body=content)
        try:
            said = json.loads(answer.data)
        except ValueError:
            said = {"text": answer.data.decode(errors="replace")}
        said.pop("request_id", None)
        shown = {name: answer.headers[name] for name in _HEADERS if name in answer.headers}
        return said, {"status": answer.status, "headers": shown, "body": said}

    facts: Facts = {}
    for name, request in _REQUESTS.items():
        for path, leaf in flat(send(*request)[1], ""):
            facts[Fact("request", name, path.lstrip("."))] = leaf
    return facts | _batch(send)


def _batch(send: Any) -> Facts:
    """A batch whose file is uploaded to the URL that the API gives, to its end."""
    said, accepted = send("POST", "/batch", _JSON, {"upload": True})
    upload = said.get("upload", {})
    if upload:
        put = urllib3.request("PUT", upload["url"], headers=upload["headers"], body=_LINES)
        accepted["upload"] = put.status
    ended = time.monotonic() + _BATCH_SECONDS
    while upload and said.get("status") not in ("completed", "failed", "stopped"):
        if time.monotonic() > ended:
            break
        time.sleep(1)
        said, _ = send("GET", f"/batch/{said['batch_id']}", {}, None)
    del accepted["body"]
    report = said.get("report") or {}
    accepted["ended"] = {"status": said.get("status"), "records": report.get("records")}
    return {Fact("request", "a batch", path): leaf for path, leaf in flat(accepted, "batch")}
