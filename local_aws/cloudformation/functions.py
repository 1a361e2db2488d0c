"""The intrinsic functions of templates; Fn::FindInMap and a few others are missing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from local_aws.service_errors import ApiError

# A value in a template: any JSON value.
Value: TypeAlias = Any

# Stands in change sets for values that are known only after execution.
UNKNOWN = "{{changeSet:KNOWN_AFTER_APPLY}}"

_NO_VALUE = object()
_PLACEHOLDER = re.compile(r"\$\{(!?)([^}]+)\}")
_DYNAMIC = re.compile(r"\{\{resolve:(ssm|ssm-secure|secretsmanager):([^}]+)\}\}")


def _not_available(name: str) -> Value:
    raise ApiError(f"Template error: {name} cannot be used here")


@dataclass(frozen=True)
class Scope:
    """What the names in a template stand for.

    Args:
        values: Parameters and pseudo parameters by name.
        conditions: The template's conditions, not yet evaluated.
        ref: Physical id of a resource.
        get_att: Attribute of a resource.
        import_value: Value of an export.
        dynamic: Value of a dynamic reference, given its service and the rest.
    """

    values: Mapping[str, Value]
    conditions: Mapping[str, Value] = field(default_factory=dict)
    ref: Callable[[str], Value] = _not_available
    get_att: Callable[[str, str], Value] = lambda name, _: _not_available(name)
    import_value: Callable[[str], Value] = _not_available
    dynamic: Callable[[str, str], str] = lambda service, _: str(_not_available(service))

    def condition(self, name: str) -> bool:
        """Whether the named condition holds."""
        if name not in self.conditions:
            raise ApiError(f"Template error: unresolved condition dependency {name}")
        return bool(resolve(self.conditions[name], self))


def resolve(value: Value, scope: Scope) -> Value:
    """`value` with every function in it replaced by its result.

    Keys and list items that resolve to `AWS::NoValue` are left out; a top-level one is None.

    Raises:
        ApiError: A function is unknown or its arguments are wrong.
    """
    result = _resolve(value, scope)
    return None if result is _NO_VALUE else result


def _resolve(value: Value, scope: Scope) -> Value:
    if isinstance(value, list):
        items = [_resolve(item, scope) for item in value]
        return [item for item in items if item is not _NO_VALUE]
    if isinstance(value, dict):
        call = _call(value)
        if call is not None:
            return _FUNCTIONS[call[0]](call[1], scope)
        entries = {key: _resolve(item, scope) for key, item in value.items()}
        return {key: item for key, item in entries.items() if item is not _NO_VALUE}
    if isinstance(value, str) and "{{resolve:" in value:
        return _DYNAMIC.sub(lambda match: scope.dynamic(match[1], match[2]), value)
    return value


def _call(value: dict[str, Value]) -> tuple[str, Value] | None:
    """Function and argument, if `value` is a function call."""
    if len(value) != 1:
        return None
    name, argument = next(iter(value.items()))
    if name in _FUNCTIONS and not (name == "Condition" and not isinstance(argument, str)):
        return name, argument
    if name.startswith("Fn::"):
        raise ApiError(f"Template error: the function {name} is not supported")
    return None


def _ref(name: str, scope: Scope) -> Value:
    if name == "AWS::NoValue":
        return _NO_VALUE
    return scope.values[name] if name in scope.values else scope.ref(name)


def _get_att(argument: Value, scope: Scope) -> Value:
    name, attribute = split_attribute(argument)
    return scope.get_att(name, str(_resolve(attribute, scope)))


def split_attribute(argument: Value) -> tuple[str, Value]:
    """Logical id and attribute of an Fn::GetAtt in either form."""
    if isinstance(argument, str):
        name, _, attribute = argument.partition(".")
        return name, attribute
    return argument[0], argument[1]


def _text(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        raise ApiError("Template error: every value joined into a string must be a string")
    return str(value)


def _sub(argument: Value, scope: Scope) -> str:
    text, given = argument if isinstance(argument, list) else (argument, {})
    local = {key: _resolve(item, scope) for key, item in given.items()}

    def value(match: re.Match[str]) -> str:
        literal, name = match[1], match[2].strip()
        if literal:
            return "${" + match[2] + "}"
        if name in local:
            return _text(local[name])
        if "." in name and name not in scope.values:
            return _text(_get_att(name, scope))
        return _text(_ref(name, scope))

    # The substitution may result in a dynamic reference.
    return str(_resolve(_PLACEHOLDER.sub(value, text), scope))


def _join(argument: Value, scope: Scope) -> Value:
    delimiter, items = argument[0], _resolve(argument[1], scope)
    if items == UNKNOWN:
        return UNKNOWN
    return _resolve(delimiter.join(_text(item) for item in items), scope)


def _split(argument: Value, scope: Scope) -> Value:
    text = _resolve(argument[1], scope)
    return UNKNOWN if UNKNOWN in text else text.split(argument[0])


def _select(argument: Value, scope: Scope) -> Value:
    index, items = int(_resolve(argument[0], scope)), _resolve(argument[1], scope)
    if items == UNKNOWN:
        return UNKNOWN
    if not 0 <= index < len(items):
        raise ApiError(
            f"Template error: Fn::Select cannot select nonexistent value at index {index}"
        )
    return items[index]


def _if(argument: Value, scope: Scope) -> Value:
    return _resolve(argument[1] if scope.condition(argument[0]) else argument[2], scope)


def _equals(argument: Value, scope: Scope) -> bool:
    first, second = (_resolve(item, scope) for item in argument)
    return bool(first == second or _plain(first) == _plain(second))


def _plain(value: Value) -> Value:
    # Conditions do not distinguish "true" from true or "1" from 1.
    return value if isinstance(value, dict | list) else _text(value)


def _contains(argument: Value, scope: Scope) -> bool:
    return bool(_resolve(argument[1], scope) in _resolve(argument[0], scope))


def _zones(argument: Value, scope: Scope) -> Value:
    region = _resolve(argument, scope) or scope.values["AWS::Region"]
    return [f"{region}{zone}" for zone in "abc"]


_FUNCTIONS: dict[str, Callable[[Value, Scope], Value]] = {
    "Ref": _ref,
    "Condition": lambda name, scope: scope.condition(name),
    "Fn::GetAtt": _get_att,
    "Fn::Sub": _sub,
    "Fn::GetAZs": _zones,
    "Fn::Join": _join,
    "Fn::Split": _split,
    "Fn::Select": _select,
    "Fn::If": _if,
    "Fn::Equals": _equals,
    "Fn::And": lambda items, scope: all(_resolve(item, scope) for item in items),
    "Fn::Or": lambda items, scope: any(_resolve(item, scope) for item in items),
    "Fn::Not": lambda items, scope: not _resolve(items[0], scope),
    "Fn::Contains": _contains,
    "Fn::ImportValue": lambda name, scope: scope.import_value(str(_resolve(name, scope))),
}


def references(value: Value, scope: Scope) -> Iterator[str]:
    """Names that `value` refers to by Ref, Fn::GetAtt or Fn::Sub in the branches that apply."""
    if isinstance(value, list):
        for item in value:
            yield from references(item, scope)
    elif isinstance(value, dict):
        call = _call(value)
        if call is None:
            yield from references(list(value.values()), scope)
        elif call[0] == "Ref":
            yield call[1]
        elif call[0] == "Fn::GetAtt":
            yield split_attribute(call[1])[0]
        elif call[0] == "Fn::If":
            branch = call[1][1] if scope.condition(call[1][0]) else call[1][2]
            yield from references(branch, scope)
        elif call[0] == "Fn::Sub":
            yield from _sub_references(call[1], scope)
        elif call[0] != "Condition":
            yield from references(call[1], scope)


def _sub_references(argument: Value, scope: Scope) -> Iterator[str]:
    text, given = argument if isinstance(argument, list) else (argument, {})
    for match in _PLACEHOLDER.finditer(text):
        name = match[2].strip()
        if not match[1] and name not in given:
            yield name.split(".")[0] if name not in scope.values else name
    yield from references(list(given.values()), scope)
