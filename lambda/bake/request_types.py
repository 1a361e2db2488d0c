"""Gives the values of a request the types that its service expects.

CloudFormation hands every number and boolean of a custom resource over as a string.
"""

from __future__ import annotations

from collections.abc import Callable

from botocore.model import ListShape, MapShape, Shape, StructureShape

_BOOLEANS = {"true": True, "false": False}


def retype_structure(value: object, shape: StructureShape, where: str) -> dict[str, object]:
    """Returns an object with the types of a botocore structure, all the way down.

    Args:
        where: the value's name in an error, e.g. "TrainingJob".

    Raises:
        ValueError: a field that the structure does not have, or a value of the wrong type; the
            message names it.
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
    if isinstance(shape, StructureShape):
        return retype_structure(value, shape, where)
    if isinstance(shape, ListShape) and isinstance(value, list):
        return [_retype(each, shape.member, f"{where}[{n}]") for n, each in enumerate(value)]
    if isinstance(shape, MapShape) and isinstance(value, dict):
        return {key: _retype(inner, shape.value, f"{where}.{key}") for key, inner in value.items()}
    try:
        return _SCALARS[shape.type_name](value)
    except (KeyError, ValueError):
        raise _wrong(value, shape, where) from None


def _wrong(value: object, shape: Shape, where: str) -> ValueError:
    return ValueError(f"{where} must be a {shape.type_name}, not {value!r}.")


def _to_string(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise ValueError


_SCALARS: dict[str, Callable[[object], object]] = {
    "integer": lambda value: int(str(value)),
    "long": lambda value: int(str(value)),
    "float": lambda value: float(str(value)),
    "double": lambda value: float(str(value)),
    "boolean": lambda value: _BOOLEANS[str(value).lower()],
    "string": _to_string,
}
