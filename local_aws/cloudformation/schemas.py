"""The registry's schemas of resource types, which cfn-lint carries."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator, TypeChecker, ValidationError, validators

from local_aws.cloudformation.functions import Value

# Patterns, which are Java's, and values that differ by region are left to cfn-lint, which judges
# templates before they are deployed.
_KEYWORDS = (
    "$ref",
    "items",
    "properties",
    "required",
    "type",
)
# CloudFormation takes a scalar for any other scalar that it can be read as.
_SCALARS = (str, int, float)
_READS = {
    "string": lambda value: isinstance(value, _SCALARS),
    "boolean": lambda value: str(value).lower() in ("true", "false"),
    "integer": lambda value: isinstance(value, _SCALARS) and str(value).lstrip("-").isdecimal(),
    "number": lambda value: isinstance(value, _SCALARS) and _is_number(str(value)),
}
_NAMES = {"array": "JSONArray", "object": "JSONObject", dict: "JSONObject", list: "JSONArray"}
_NAMES |= {bool: "Boolean", int: "Integer", float: "Double", str: "String"}


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


@cache
def _folder() -> Path:
    """Where cfn-lint keeps them; importing it takes seconds, since it imports sympy."""
    package = find_spec("cfnlint")
    assert package and package.submodule_search_locations
    return Path(package.submodule_search_locations[0]) / "data/schemas"


@cache
def _files() -> dict[str, str]:
    # Schemas differ between regions in nothing that is used here.
    files: dict[str, str] = json.loads((_folder() / "providers/us-east-1.json").read_text("utf-8"))
    return files


@cache
def _schema(resource_type: str) -> dict[str, Any]:
    if resource_type.startswith("Custom::"):
        resource_type = "AWS::CloudFormation::CustomResource"
    if resource_type not in _files():
        return {}
    file = _folder() / "resources" / f"{_files()[resource_type]}.json"
    schema: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return schema


@cache
def create_only_properties(resource_type: str) -> tuple[tuple[str, ...], ...]:
    """Paths of what a change of requires a replacement; none for a type without a schema."""
    paths = _schema(resource_type).get("createOnlyProperties", [])
    return tuple(tuple(path.removeprefix("/properties/").split("/")) for path in paths)


def violations(resource_type: str, properties: dict[str, Value]) -> list[str]:
    """What CloudFormation refuses in a resource's properties, in its own words.

    That is unknown, read-only and missing properties, and values of a wrong type.
    """
    validator = _validator(resource_type)
    read_only = {
        path.removeprefix("/properties/")
        for path in _schema(resource_type).get("readOnlyProperties", [])
    }
    found = [f"#: extraneous key [{name}] is not permitted" for name in read_only & {*properties}]
    return found + [
        text for error in validator.iter_errors(properties) for text in _as_words(error)
    ]


@cache
def _validator(resource_type: str) -> Any:
    known = Draft7Validator.TYPE_CHECKER
    types: TypeChecker = known.redefine_many(
        {name: lambda _, value, reads=reads: reads(value) for name, reads in _READS.items()}
    )
    validator = validators.create(
        meta_schema={},
        validators={
            **{name: Draft7Validator.VALIDATORS[name] for name in _KEYWORDS},
            "additionalProperties": _no_others,
        },
        type_checker=types,
    )
    return validator(_schema(resource_type))


def _no_others(
    _: Any, allowed: object, instance: object, schema: dict[str, Any]
) -> Iterator[ValidationError]:
    """jsonschema's own would read Java's patterns of names."""
    if allowed is False and isinstance(instance, dict) and "patternProperties" not in schema:
        yield from (
            ValidationError(name)
            for name in sorted(instance.keys() - schema.get("properties", {}).keys())
        )


def _as_words(error: ValidationError) -> Iterator[str]:
    place = "/".join(["#", *map(str, error.absolute_path)])
    match error.validator:
        case "additionalProperties":
            yield f"{place}: extraneous key [{error.message}] is not permitted"
        case "required":
            name = error.message.split("'")[1]  # one error for each
            yield f"{place}: required key [{name}] not found"
        case _:
            wanted = error.validator_value
            names = wanted if isinstance(wanted, list) else [wanted]
            expected = " or ".join(_NAMES.get(name, name.capitalize()) for name in names)
            yield f"{place}: expected type: {expected}, found: {_NAMES[type(error.instance)]}"
