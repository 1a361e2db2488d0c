"""Checks requests against SageMaker's own model, as botocore ships it.

botocore's client checks only types and required members. AWS also checks names, lengths, ranges
and enumerations, and a request that AWS would refuse must not pass here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from local_aws.sagemaker.errors import ApiError, invalid
from local_aws.service_models import service_model

# AWS's words for JSON values.
_JSON_NAMES: dict[type, str] = {
    str: "STRING_VALUE",
    int: "NUMBER_VALUE",
    float: "DECIMAL_VALUE",
    bool: "TRUE_VALUE",
    dict: "START_OBJECT",
    list: "START_ARRAY",
    type(None): "VALUE_NULL",
}
# Java's character classes in AWS's patterns, and Python's equivalents.
_JAVA_CLASSES = (
    (r"\p{L}\p{Z}\p{N}_", r"\w\s"),
    (r"\p{Alnum}", "a-zA-Z0-9"),
)


@cache
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """The Python form of a pattern from AWS's models."""
    for java, python in _JAVA_CLASSES:
        pattern = pattern.replace(java, python)
    return re.compile(pattern)


def _refusals(value: object, path: str, rules: Iterator[str]) -> Iterator[str]:
    for rule in rules:
        yield f"Value '{value}' at '{path}' failed to satisfy constraint: Member must {rule}"


def _check_size(size: float, limits: dict[str, Any], what: str) -> Iterator[str]:
    if "min" in limits and size < limits["min"]:
        yield f"have {what} greater than or equal to {limits['min']}"
    if "max" in limits and size > limits["max"]:
        yield f"have {what} less than or equal to {limits['max']}"


def _check_string(shape: Any, value: str) -> Iterator[str]:
    limits = shape.metadata
    if "enum" in limits and value not in limits["enum"]:
        yield f"satisfy enum value set: [{', '.join(limits['enum'])}]"
    yield from _check_size(len(value), limits, "length")
    if "pattern" in limits and not compile_pattern(limits["pattern"]).fullmatch(value):
        yield f"satisfy regular expression pattern: {limits['pattern']}"


def _check_structure(shape: Any, value: dict[str, Any], path: str) -> Iterator[str]:
    prefix = f"{path}." if path else ""
    for name, member in shape.members.items():
        member_path = f"{prefix}{name[0].lower()}{name[1:]}"
        if value.get(name) is not None:
            yield from _check(member, value[name], member_path)
        elif name in shape.required_members:
            yield (
                f"Value null at '{member_path}' failed to satisfy constraint: "
                "Member must not be null"
            )


def _check(shape: Any, value: object, path: str) -> Iterator[str]:
    limits = shape.metadata
    match shape.type_name, value:
        case "boolean", bool():
            pass
        case "structure", dict():
            yield from _check_structure(shape, value, path)
        case "list", list():
            yield from _refusals(value, path, _check_size(len(value), limits, "length"))
            for number, item in enumerate(value, start=1):
                yield from _check(shape.member, item, f"{path}.{number}.member")
        case "map", dict():
            yield from _refusals(value, path, _check_size(len(value), limits, "length"))
            for key, item in value.items():
                yield from _check(shape.key, key, f"{path}.key")
                yield from _check(shape.value, item, f"{path}.{key}.value")
        case "string", str():
            yield from _refusals(value, path, _check_string(shape, value))
        case (("integer" | "long"), int()) if not isinstance(value, bool):
            yield from _refusals(value, path, _check_size(value, limits, "value"))
        case (("float" | "double"), (int() | float())) if not isinstance(value, bool):
            yield from _refusals(value, path, _check_size(value, limits, "value"))
        case "timestamp", (int() | float() | str()):
            pass
        case kind, _:
            raise ApiError(
                "SerializationException",
                f"{_JSON_NAMES[type(value)]} can not be converted to {kind} at '{path}'",
            )


def check_request(operation: str, request: dict[str, Any]) -> None:
    """Refuses a request that violates SageMaker's model, naming all faults.

    Raises:
        ApiError: ValidationException, or SerializationException for a wrong type.
    """
    shape = service_model("sagemaker").operation_model(operation).input_shape
    faults = list(_check(shape, request, ""))
    if faults:
        noun = "error" if len(faults) == 1 else "errors"
        raise invalid(f"{len(faults)} validation {noun} detected: {'; '.join(faults)}")
