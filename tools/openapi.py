"""Writes what is derived from the API's models: `python -m tools.openapi`.

- lambda/<function>/schemas/<name>.json: JSON Schema draft 4, for API Gateway's request validators.
  They are coarse on purpose: the gateway cannot say which element of a list is wrong, so whatever
  needs a good sentence (lengths, ranges, blank texts) is left to the Lambda.
- docs/openapi.json: the whole REST API, OpenAPI 3.1.

`--check` writes nothing and fails if a file is not current.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter

from batch.api import answers as batch_answers
from batch.api import requests as batch_models
from front_door import answers
from front_door import requests as models
from rest import errors

ROOT: Final = Path(__file__).resolve().parent.parent
FUNCTIONS: Final = ROOT / "lambda"


# Request bodies: name of the schema file -> function, model.
REQUESTS: Final[dict[str, tuple[str, type[BaseModel]]]] = {
    "embed": ("front_door", models.EmbedRequest),
    "nearest": ("front_door", models.NearestRequest),
    "search": ("front_door", models.SearchRequest),
    "batch": ("batch/api", batch_models.BatchRequest),
}


@dataclass(frozen=True)
class Operation:
    """One method of one path.

    request: a key of REQUESTS. answers: status -> shape of a success. codes: of the function's
    own refusals (the gateway's come on top).
    """

    path: str
    verb: str
    id: str
    summary: str
    answers: dict[int, type]
    codes: tuple[str, ...]
    request: str | None = None


_ALWAYS: Final = ("not_found", "method_not_allowed", "internal_error")
_BODY: Final = ("invalid_request", "payload_too_large", "unsupported_media_type")
_MODEL: Final = ("throttled", "model_error", "model_unavailable", "serving_off", "time_out")
_AWS: Final = ("throttled", "service_unavailable")

OPERATIONS: Final = (
    Operation(
        path="/embed",
        verb="post",
        id="embed",
        summary="Embed texts",
        answers={200: answers.EmbedAnswer},
        codes=(*_ALWAYS, *_BODY, *_MODEL),
        request="embed",
    ),
    Operation(
        path="/nearest",
        verb="post",
        id="nearest",
        summary="Find nearest neighbours in a corpus of your own",
        answers={200: answers.NearestAnswer},
        codes=(*_ALWAYS, *_BODY, *_MODEL),
        request="nearest",
    ),
    Operation(
        path="/search",
        verb="post",
        id="search",
        summary="Ask the deployed corpus",
        answers={200: answers.SearchAnswer},
        codes=(*_ALWAYS, *_BODY, *_MODEL),
        request="search",
    ),
    Operation(
        path="/endpoints",
        verb="get",
        id="endpoints",
        summary="What is deployed",
        answers={200: answers.EndpointsAnswer},
        codes=(*_ALWAYS, "model_unavailable"),
    ),
    Operation(
        path="/health",
        verb="get",
        id="health",
        summary="Whether an endpoint answers from the deployed bake",
        answers={200: answers.HealthAnswer},
        codes=(*_ALWAYS, "model_unavailable", "serving_off"),
    ),
    Operation(
        path="/batch",
        verb="post",
        id="start_batch",
        summary="Embed a file of JSON lines",
        answers={202: batch_answers.BatchStarted, 200: batch_answers.BatchStarted},
        codes=(*_ALWAYS, *_BODY, *_AWS, "client_token_conflict"),
        request="batch",
    ),
    Operation(
        path="/batch/{batch_id}",
        verb="get",
        id="get_batch",
        summary="How far a batch is, and its results",
        answers={200: batch_answers.BatchAnswer},
        codes=(*_ALWAYS, *_AWS),
    ),
    Operation(
        path="/batch/{batch_id}",
        verb="delete",
        id="stop_batch",
        summary="Stop a batch",
        answers={202: batch_answers.BatchStopped, 200: batch_answers.BatchStopped},
        codes=(*_ALWAYS, *_AWS),
    ),
)
_GATEWAY_KEYWORDS: Final = frozenset(
    {"type", "properties", "required", "items", "additionalProperties", "anyOf", "minItems"}
)
# API Gateway itself answers these, to any request.
_GATEWAY_FAILURES: Final = {401: "unauthorized", 403: "forbidden", 429: "throttled"}


def gateway_schema(request: type[BaseModel]) -> dict[str, Any]:
    """The draft-4 schema of one POST body, with structure only."""
    schema = _structure(request.model_json_schema())
    return {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "title": request.__name__,
        **schema,
    }


def _structure(schema: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in schema.items() if key in _GATEWAY_KEYWORDS}
    if "properties" in kept:
        kept["properties"] = {name: _structure(field) for name, field in kept["properties"].items()}
    if "items" in kept:
        kept["items"] = _structure(kept["items"])
    if "anyOf" in kept:
        kept["anyOf"] = [_structure(option) for option in kept["anyOf"]]
    return kept


def openapi() -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    types: list[type] = [model for _, model in REQUESTS.values()]
    types += dict.fromkeys(shape for one in OPERATIONS for shape in one.answers.values())
    types += [answers.ErrorAnswer, answers.UnhealthyAnswer]
    references, definitions = TypeAdapter.json_schemas(
        [(one.__name__, "validation", TypeAdapter(one)) for one in types],
        ref_template="#/components/schemas/{model}",
    )
    schemas = definitions["$defs"] | {
        name: schema for (name, _), schema in references.items() if "$ref" not in schema
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "FAQ search",
            "version": "1.0.0",
            "description": "Embeds text and finds the nearest answers. Errors are JSON with a "
            "stable code, a sentence and the request id.",
        },
        "security": [{"api_key": []}, {"iam": []}],
        "paths": _paths(OPERATIONS),
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "api_key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
                "iam": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "AWS Signature Version 4, service execute-api.",
                    "x-amazon-apigateway-authtype": "awsSigv4",
                },
            },
        },
    }


def _paths(operations: Iterable[Operation]) -> dict[str, dict[str, Any]]:
    paths: dict[str, dict[str, Any]] = {}
    for one in operations:
        paths.setdefault(one.path, {})[one.verb] = _operation(one)
    return paths


def _operation(one: Operation) -> dict[str, Any]:
    responses = {
        str(status): _response(shape, shape.__doc__ or "") for status, shape in one.answers.items()
    }
    for status, codes in _failures(one).items():
        unhealthy = one.id == "health" and status == 503
        shape = answers.UnhealthyAnswer if unhealthy else answers.ErrorAnswer
        responses[str(status)] = _response(shape, " or ".join(codes))
    operation: dict[str, Any] = {
        "operationId": one.id,
        "summary": one.summary,
        "responses": responses,
    }
    if "{batch_id}" in one.path:
        batch_id = {"type": "string", "format": "uuid"}
        operation["parameters"] = [
            {"name": "batch_id", "in": "path", "required": True, "schema": batch_id}
        ]
    if one.request is not None:
        _, model = REQUESTS[one.request]
        operation["requestBody"] = {"required": True, "content": _json(model)}
    return operation


def _failures(one: Operation) -> dict[int, list[str]]:
    """The codes of each status."""
    failures: dict[int, list[str]] = {}
    ours = [(errors.STATUS[code], code) for code in one.codes]
    for status, code in sorted({*ours, *_GATEWAY_FAILURES.items()}):
        failures.setdefault(status, []).append(code)
    return failures


def _response(answer: type, description: str) -> dict[str, Any]:
    return {"description": description, "content": _json(answer)}


def _json(one: type) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{one.__name__}"}}}


def generated() -> dict[Path, str]:
    """Every file that is derived from the models, and what it must hold."""
    documents = {
        FUNCTIONS / function / "schemas" / f"{name}.json": gateway_schema(request)
        for name, (function, request) in REQUESTS.items()
    } | {ROOT / "docs" / "openapi.json": openapi()}
    return {
        path: json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        for path, document in documents.items()
    }


def main() -> None:
    """Write the files, or with --check only compare them."""
    arguments = argparse.ArgumentParser(description="Derives schemas from the API's models.")
    arguments.add_argument("--check", action="store_true", help="write nothing; fail if stale")
    check = arguments.parse_args().check
    stale = {
        path: text
        for path, text in generated().items()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    }
    if check and stale:
        names = ", ".join(str(path.relative_to(ROOT)) for path in stale)
        sys.exit(f"Not current: {names}. Run python -m tools.openapi.")
    for path, text in stale.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
