"""Checks a request as AWS does: against all constraints in botocore's models.

botocore itself only checks types and required members. Its models also contain patterns,
enumerations, lengths and ranges, which the service would check in the middle of a deployment. This
is deliberately not the validator of the local AWS, so that each tests the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import botocore.session
from botocore.model import ServiceModel, Shape
from botocore.validate import ParamValidator

_NUMBERS = {"integer", "long", "float", "double"}
# In the models the first stands alone, the others in brackets.
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
def service_model(service: str) -> ServiceModel:
    return botocore.session.get_session().get_service_model(service)


def check_request(service: str, operation: str, parameters: dict[str, Any]) -> list[str]:
    """Every problem of a request, in words; empty if the model allows it.

    Args:
        service: as boto3 names it, e.g. "sagemaker".
        operation: as the API names it, e.g. "CreateTrainingJob".
        parameters: as boto3 takes them.
    """
    shape = service_model(service).operation_model(operation).input_shape
    if shape is None:
        return [f"{operation} takes no parameters"] if parameters else []
    report = ParamValidator().validate(parameters, shape)
    faults = [report.generate_report()] if report.has_errors() else []
    faults.extend(_faults(parameters, shape, operation))
    return faults


def _faults(value: Any, shape: Shape, where: str) -> Iterator[str]:
    if shape.type_name == "structure" and isinstance(value, dict):
        for name, inner in value.items():
            if name in shape.members:
                yield from _faults(inner, shape.members[name], f"{where}.{name}")
    elif shape.type_name == "list" and isinstance(value, list | tuple):
        yield from _outside(len(value), shape, f"the length of {where}")
        for position, inner in enumerate(value):
            yield from _faults(inner, shape.member, f"{where}[{position}]")
    elif shape.type_name == "map" and isinstance(value, dict):
        yield from _outside(len(value), shape, f"the size of {where}")
        for key, inner in value.items():
            yield from _faults(key, shape.key, f"the key {key!r} of {where}")
            yield from _faults(inner, shape.value, f"{where}.{key}")
    elif shape.type_name == "string" and isinstance(value, str):
        yield from _string_faults(value, shape, where)
    elif shape.type_name in _NUMBERS and isinstance(value, int | float):
        yield from _outside(value, shape, where)
    elif shape.type_name == "blob" and isinstance(value, str | bytes | bytearray):
        size = len(value.encode() if isinstance(value, str) else value)
        yield from _outside(size, shape, f"the size of {where}")


def _string_faults(value: str, shape: Shape, where: str) -> Iterator[str]:
    yield from _outside(len(value), shape, f"the length of {where}")
    allowed = shape.metadata.get("enum")
    if allowed and value not in allowed:
        yield f"{where} is {value!r}, which is none of {', '.join(allowed)}"
    pattern = shape.metadata.get("pattern")
    if pattern and not _compiled(pattern).fullmatch(value):
        yield f"{where} is {value!r}, which does not match {pattern}"


def _outside(size: float, shape: Shape, what: str) -> Iterator[str]:
    if size < shape.metadata.get("min", size):
        yield f"{what} is {size}, less than {shape.metadata['min']}"
    if size > shape.metadata.get("max", size):
        yield f"{what} is {size}, more than {shape.metadata['max']}"


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    for java, python in _JAVA_CLASSES.items():
        pattern = pattern.replace(java, python)
    # A flag from its place on, which Python does not know; the rest then matters in its case.
    return re.compile(pattern.replace("|(?i)", "|"))
