"""docs/openapi.json as a page in Markdown, for the site of `make docs`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

DOCUMENT: Final = Path(__file__).parent.parent / "docs/openapi.json"
_JSON: Final = "application/json"
_LIMITS: Final = {
    "minimum": "from {}",
    "maximum": "to {}",
    "minItems": "at least {} items",
    "maxItems": "at most {} items",
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "pattern": "`{}`",
}

Schema = dict[str, Any]


def api_reference() -> str:
    """Every operation with its body and its answers, and every object in them."""
    document = json.loads(DOCUMENT.read_text(encoding="utf-8"))
    return "\n\n".join(_page(document)) + "\n"


def _page(document: dict[str, Any]) -> Iterator[str]:
    yield "# API reference"
    yield (
        f"{document['info']['description']} What it means and how to call it is in"
        " [REST API](rest-api.md); the same for programs in [openapi.json](openapi.json)"
        f" (OpenAPI {document['openapi']})."
    )
    for path, operations in document["paths"].items():
        for verb, operation in operations.items():
            yield from _operation(f"{verb.upper()} {path}", operation)
    yield "## Objects"
    for name, schema in sorted(document["components"]["schemas"].items()):
        yield f"### {name}"
        yield schema.get("description", "")
        yield _fields(schema)


def _operation(heading: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"## {heading}"
    yield f"{operation['summary']}."
    for parameter in operation.get("parameters", ()):
        yield f"`{parameter['name']}` in the {parameter['in']}: {_type(parameter['schema'])}"
    if body := operation.get("requestBody"):
        yield f"Body: {_content(body)}"
    yield _table(
        ("answer", "", ""),
        (
            (status, _content(response), _meaning(status, response["description"]))
            for status, response in operation["responses"].items()
        ),
    )


def _meaning(status: str, description: str) -> str:
    """What an answer says, or the codes that it may have."""
    if status < "400":
        return description
    return ", ".join(f"`{code}`" for code in description.split(" or "))


def _content(message: dict[str, Any]) -> str:
    return ", ".join(
        _type(content["schema"]) if kind == _JSON else f"`{kind}`"
        for kind, content in message.get("content", {}).items()
    )


def _fields(schema: Schema) -> str:
    required = schema.get("required", ())
    return _table(
        ("field", "type", "limits", ""),
        (
            (
                f"`{name}`" + ("" if name in required else ", optional"),
                _type(field),
                ", ".join(_limits(field)),
                field.get("description", ""),
            )
            for name, field in schema.get("properties", {}).items()
        ),
    )


def _type(schema: Schema) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if choices := schema.get("enum") or ([schema["const"]] if "const" in schema else None):
        return ", ".join(f"`{json.dumps(choice)}`" for choice in choices)
    if several := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(dict.fromkeys(map(_type, several)))
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    if schema.get("type") == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_type(schema['additionalProperties'])}"
    return str(schema.get("format") or schema.get("type", "any"))


def _limits(schema: Schema) -> Iterator[str]:
    for key, words in _LIMITS.items():
        if key in schema and schema[key] != r"\S":
            yield words.format(schema[key])
    for several in schema.get("anyOf", ()):
        yield from _limits(several)
    if "items" in schema:
        yield from (f"each {limit}" for limit in _limits(schema["items"]))
    if schema.get("default") is not None:
        yield f"by default `{json.dumps(schema['default'])}`"


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", r"\|").replace("\n", " ")
