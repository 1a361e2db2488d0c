"""Gives the values of a request the types its service wants.

CloudFormation hands every number and boolean of a custom resource over as a string.
"""

from __future__ import annotations

from collections.abc import Callable

from botocore.model import Shape, StructureShape

_BOOLEANS = {"true": True, "false": False}


def retype_structure(value: object, shape: StructureShape, where: str) -> dict[str, object]:
    """Return an object with the types of a botocore structure, all the way down.

    Args:
        value: what CloudFormation sent.
        shape: the structure it must have.
        where: how to name the value in an error, e.g. "TrainingJob".

    Raises:
        ValueError: a field that the structure does not have, or a value that cannot have its
            type; the message names it.
    """
    if not isinstance(value, dict):
        raise _wrong(value, shape, where)
    unknown = sorted(set(value) - set(shape.members))
    if unknown:
        raise ValueError(
            f"{where} has no field {', '.join(unknown)}; it has {', '.join(shape.members)}."
        )
    return {
        name: _retype(inner, shape.members[name], f"{where}.{name}")
        for name, inner in value.items()
    }


def _retype(value: object, shape: Shape, where: str) -> object:
    if shape.type_name == "structure":
        return retype_structure(value, shape, where)
    if shape.type_name == "list" and isinstance(value, list):
        return [
            _retype(inner, shape.member, f"{where}[{position}]")
            for position, inner in enumerate(value)
        ]
    if shape.type_name == "map" and isinstance(value, dict):
        return {key: _retype(inner, shape.value, f"{where}.{key}") for key, inner in value.items()}
    try:
        return _SCALARS[shape.type_name](value)
    except (KeyError, ValueError):
        raise _wrong(value, shape, where) from None


def _wrong(value: object, shape: Shape, where: str) -> ValueError:
    return ValueError(f"{where} must be a {shape.type_name}, not {value!r}.")


def _to_boolean(value: object) -> bool:
    return _BOOLEANS[str(value).lower()]


def _to_integer(value: object) -> int:
    return int(str(value))


def _to_float(value: object) -> float:
    return float(str(value))


def _to_string(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise ValueError


_SCALARS: dict[str, Callable[[object], object]] = {
    "integer": _to_integer,
    "long": _to_integer,
    "float": _to_float,
    "double": _to_float,
    "boolean": _to_boolean,
    "string": _to_string,
}
