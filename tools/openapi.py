"""Writes docs/openapi.json from the routes of the REST API; `make openapi` runs it.

Synth makes API Gateway's resources and methods from that file. `--check` writes nothing and fails
if the file is not current.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

from batch.api.routes import app as batch
from front_door.routes import app as front_door

ROOT: Final = Path(__file__).resolve().parent.parent
DOCUMENT: Final = ROOT / "docs" / "openapi.json"

# Powertools adds these for its own validation, which no route uses.
_UNUSED: Final = frozenset({"HTTPValidationError", "ResponseValidationError", "ValidationError"})


def openapi() -> dict[str, Any]:
    """The OpenAPI 3.1 document."""
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    for app in (front_door, batch):
        document = json.loads(app.get_openapi_json_schema(), parse_float=_number)
        paths |= document["paths"]
        schemas |= document["components"]["schemas"]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "FAQ search",
            "version": "1.0.0",
            "description": "Embeds text and finds the nearest answers. Errors are JSON with a "
            "stable code, a sentence and the request id.",
        },
        "security": [{"api_key": []}, {"iam": []}],
        "paths": paths,
        "components": {
            "schemas": {name: schemas[name] for name in sorted(schemas.keys() - _UNUSED)},
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


def _number(text: str) -> float:
    """Powertools makes floats of all limits: 1000.0 items."""
    number = float(text)
    return int(number) if number.is_integer() else number


def rendered() -> str:
    """What docs/openapi.json must hold."""
    return json.dumps(openapi(), indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    """Writes the file, or with --check only compares it."""
    parser = argparse.ArgumentParser(description="Writes docs/openapi.json from the routes.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if stale")
    text = rendered()
    if not parser.parse_args().check:
        DOCUMENT.write_text(text, encoding="utf-8")
    elif not DOCUMENT.is_file() or DOCUMENT.read_text(encoding="utf-8") != text:
        sys.exit("docs/openapi.json is not current. Run make openapi.")


if __name__ == "__main__":
    main()
