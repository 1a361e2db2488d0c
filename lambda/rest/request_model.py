"""What the bodies of all requests have in common."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


# Of integers. JSON has one kind of number: 3.0 is the integer 3, to JSON Schema and so to callers.
WHOLE: Final = BeforeValidator(_whole)


def _without_titles(schema: dict[str, Any]) -> None:
    """Titles only repeat the names of the fields."""
    schema.pop("title", None)
    for field in schema.get("properties", {}).values():
        field.pop("title", None)


class RequestModel(BaseModel):
    """A JSON object without fields of other names, whose values are not converted."""

    model_config = ConfigDict(
        strict=True, extra="forbid", frozen=True, json_schema_extra=_without_titles
    )
