"""botocore's descriptions of AWS's services, and checks of requests against them.

botocore's client checks only types and required members. AWS also checks names, lengths, ranges
and enumerations, and a request that AWS would refuse must not pass here.
"""

from __future__ import annotations

import gzip
import re
import threading
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import orjson
from botocore.loaders import JSONFileLoader, Loader

from local_aws.service_errors import ApiError


class DescriptionFiles(JSONFileLoader):  # type: ignore[misc, unused-ignore]
    """Reads descriptions in half of botocore's time."""

    def load_file(self, file_path: str) -> Any:
        """The content of a file, whose path has no suffix; None if there is none."""
        plain, packed = Path(f"{file_path}.json"), Path(f"{file_path}.json.gz")
        if plain.is_file():
            return orjson.loads(plain.read_bytes())
        if packed.is_file():
            return orjson.loads(gzip.decompress(packed.read_bytes()))
        return None


# There is only one session, since each loads the descriptions of services and regions for itself.
# It must not be used by several threads at once.
loader = Loader(file_loader=DescriptionFiles())
session = botocore.session.get_session()
session.register_component("data_loader", loader)
session_lock = threading.Lock()
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
# Java's character classes in AWS's patterns, and Python's equivalents. In the models the first
# stands alone, the others in brackets.
_JAVA_CLASSES = {
    r"\p{ASCII}": r"[\x00-\x7f]",
    r"\p{Alnum}": "a-zA-Z0-9",
    r"\p{L}": "a-zA-Z\u00aa-\uffff",
    r"\p{Z}": r"\s",
    r"\p{N}": r"\d",
    r"\p{Print}": r"[\x20-\x7e]",
    # Java counts UTF-16 units: characters beyond the first plane are pairs.
    r"\uD800\uDC00-\uDBFF\uDFFF": r"\U00010000-\U0010ffff",
}


@cache
def _load(service: str) -> Any:
    return session.get_service_model(service)


def service_model(service: str) -> Any:
    """The model of a service. Loading one takes up to a third of a second, once."""
    with session_lock:
        return _load(service)


def find_violations(service: str, operation: str, request: dict[str, Any]) -> list[str]:
    """All constraints of the service's model that a request violates, in AWS's words.

    Args:
        request: As JSON, or as boto3 takes it.

    Raises:
        ApiError: SerializationException for a wrong type.
    """
    shape = service_model(service).operation_model(operation).input_shape
    return [] if shape is None else list(_check(shape, request, ""))


@cache
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """The Python form of a pattern from AWS's models."""
    for java, python in _JAVA_CLASSES.items():
        pattern = pattern.replace(java, python)
    # Python knows no flag from its place on; what follows then matters in its case.
    return re.compile(pattern.replace("|(?i)", "|"))


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
        case ("boolean", bool()) | ("timestamp", int() | float() | str() | datetime()):
            pass
        case "structure", dict():
            yield from _check_structure(shape, value, path)
        case "list", list() | tuple():
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
        case "blob", str() | bytes() | bytearray():
            size = len(value.encode() if isinstance(value, str) else value)
            yield from _refusals("...", path, _check_size(size, limits, "length"))
        case "blob", _:
            pass  # a file
        case "integer" | "long", int() if not isinstance(value, bool):
            yield from _refusals(value, path, _check_size(value, limits, "value"))
        case "float" | "double", int() | float() if not isinstance(value, bool):
            yield from _refusals(value, path, _check_size(value, limits, "value"))
        case kind, _:
            given = _JSON_NAMES.get(type(value), type(value).__name__)
            raise ApiError(
                f"{given} can not be converted to {kind} at '{path}'", "SerializationException"
            )
