"""Writes what is derived from the front door's models: `python -m tools.openapi`.

- lambda/front_door/schemas/{embed,nearest,search}.json: JSON Schema draft 4, for API Gateway's
  request validators. They are coarse on purpose: the gateway cannot say which element of a list is
  wrong, so whatever needs a good sentence (lengths, ranges, blank texts) is left to the Lambda.
- docs/openapi.json: the whole REST API, OpenAPI 3.1.

`--check` writes nothing and fails if a file is not current.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter

ROOT: Final = Path(__file__).resolve().parent.parent
FRONT_DOOR: Final = ROOT / "lambda" / "front_door"

# `lambda` is a keyword, and the folder is the root of the function's imports.
sys.path.insert(0, str(FRONT_DOOR))
models: Final = importlib.import_module("api_models")
answers: Final = importlib.import_module("api_answers")
errors: Final = importlib.import_module("api_errors")
sys.path.remove(str(FRONT_DOOR))

REQUESTS: Final[dict[str, type[BaseModel]]] = {
    "embed": models.EmbedRequest,
    "nearest": models.NearestRequest,
    "search": models.SearchRequest,
}
ANSWERS: Final[dict[str, type]] = {
    "embed": answers.EmbedAnswer,
    "nearest": answers.NearestAnswer,
    "search": answers.SearchAnswer,
    "endpoints": answers.EndpointsAnswer,
    "health": answers.HealthAnswer,
}
_SUMMARIES: Final = {
    "embed": "Embed texts",
    "nearest": "Find nearest neighbours in a corpus of your own",
    "search": "Ask the deployed corpus",
    "endpoints": "What is deployed",
    "health": "Whether an endpoint answers from the deployed bake",
}
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
    types = [*REQUESTS.values(), *ANSWERS.values(), answers.ErrorAnswer, answers.UnhealthyAnswer]
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
        "paths": {f"/{name}": _path(name) for name in ANSWERS},
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


def _path(name: str) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": name,
        "summary": _SUMMARIES[name],
        "responses": {"200": _response(ANSWERS[name], ANSWERS[name].__doc__ or "")}
        | {str(status): _response(answers.ErrorAnswer, code) for status, code in _failures(name)},
    }
    if name == "health":
        operation["responses"]["503"] = _response(answers.UnhealthyAnswer, "model_unavailable")
    if name not in REQUESTS:
        return {"get": operation}
    operation["requestBody"] = {"required": True, "content": _json(REQUESTS[name])}
    return {"post": operation}


def _failures(name: str) -> list[tuple[int, str]]:
    ours = {status: code for code, status in errors.STATUS.items()}
    if name not in REQUESTS:
        ours = {status: code for status, code in ours.items() if status in (404, 405, 500, 503)}
    return sorted((ours | _GATEWAY_FAILURES).items())


def _response(answer: type, description: str) -> dict[str, Any]:
    return {"description": description, "content": _json(answer)}


def _json(one: type) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{one.__name__}"}}}


def generated() -> dict[Path, str]:
    """Every file that is derived from the models, and what it must hold."""
    documents = {
        FRONT_DOOR / "schemas" / f"{name}.json": gateway_schema(request)
        for name, request in REQUESTS.items()
    } | {ROOT / "docs" / "openapi.json": openapi()}
    return {
        path: json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        for path, document in documents.items()
    }


def main() -> None:
    """Write the files, or with --check only compare them."""
    arguments = argparse.ArgumentParser(description="Derives schemas from the front door's models.")
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
