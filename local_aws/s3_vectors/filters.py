"""Metadata filters: https://docs.aws.amazon.com/AmazonS3/latest/userguide/s3-vectors-metadata-filtering.html"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias

from local_aws.s3_vectors.refusals import invalid

Metadata: TypeAlias = Mapping[str, Any]
Test: TypeAlias = Callable[[Metadata], bool]

# Of an index in mode ENHANCED; each value counts.
_MOST_CONSTRAINTS = 100
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "$gt": lambda found, bound: found > bound,
    "$gte": lambda found, bound: found >= bound,
    "$lt": lambda found, bound: found < bound,
    "$lte": lambda found, bound: found <= bound,
}


def compile_filter(written: Any, non_filterable: Collection[str]) -> Test:
    """The test that a vector's filterable metadata has to pass.

    Raises:
        ApiError: ValidationException.
    """
    compiler = _Compiler(non_filterable)
    test = compiler.compile(written)
    if compiler.constraints > _MOST_CONSTRAINTS:
        raise _wrong(f"more than {_MOST_CONSTRAINTS} constraints")
    return test


def _wrong(why: str) -> Exception:
    # AWS says no more than this to callers.
    return invalid("Invalid filter", ("filter", why))


class _Compiler:
    def __init__(self, non_filterable: Collection[str]) -> None:
        self._non_filterable = non_filterable
        self.constraints = 0

    def compile(self, written: Any) -> Test:
        if not isinstance(written, dict) or len(written) != 1:
            # AWS documents several conditions on one key, but on several keys only with $and.
            raise _wrong("a filter is an object with one key; use $and for several")
        ((name, condition),) = written.items()
        if name in {"$and", "$or"}:
            if not isinstance(condition, list) or not condition:
                raise _wrong(f"{name} needs a list of filters that is not empty")
            tests = [self.compile(part) for part in condition]
            both = all if name == "$and" else any
            return lambda metadata: both(test(metadata) for test in tests)
        if name.startswith("$"):
            raise _wrong(f"there is no operator {name} of filters")
        if name in self._non_filterable:
            raise _wrong(f"the metadata key {name} is not filterable")
        if not isinstance(condition, dict):
            condition = {"$eq": condition}
        if not condition:
            raise _wrong(f"{name} has no condition")
        conditions = [self._condition(name, *each) for each in condition.items()]
        return lambda metadata: all(test(metadata) for test in conditions)

    def _condition(self, name: str, operator: str, given: Any) -> Test:
        self.constraints += len(given) if isinstance(given, list) else 1
        match operator:
            case "$eq" | "$ne" if _is_primitive(given):
                wanted = operator == "$eq"
                return lambda metadata: _equals(metadata.get(name), given) == wanted
            case "$in" | "$nin" if _is_list(given):
                wanted = operator == "$in"
                return lambda metadata: (
                    any(_equals(metadata.get(name), each) for each in given) == wanted
                )
            case "$exists" if isinstance(given, bool):
                return lambda metadata: (name in metadata) == given
            case "$startsWith" if isinstance(given, str):
                return lambda metadata: _starts_with(metadata.get(name), given)
            case "$gt" | "$gte" | "$lt" | "$lte" if _is_number(given):
                compare = _COMPARISONS[operator]
                return lambda metadata: (
                    _is_number(metadata.get(name)) and compare(metadata[name], given)
                )
        raise _wrong(f"{name} cannot be tested with {operator} and this value")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_primitive(value: Any) -> bool:
    return isinstance(value, str | bool | int | float)


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_primitive, value))


def _equals(found: Any, given: Any) -> bool:
    """Whether a value is the given one; a list, whether one of its values is."""
    if isinstance(found, list):
        return any(_equals(each, given) for each in found)
    return found == given and isinstance(found, bool) == isinstance(given, bool)


def _starts_with(found: Any, given: str) -> bool:
    values = found if isinstance(found, list) else [found]
    return any(isinstance(value, str) and value.startswith(given) for value in values)
