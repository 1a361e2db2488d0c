"""The Condition element of policies.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

# The values of condition keys, in lower case, in a request. Most keys have one value. Those that
# are known and have none in this request are empty.
Keys = Mapping[str, Sequence[str]]

_VARIABLE = re.compile(r"\$\{(?P<name>[^},]+)(?:,\s*'(?P<default>[^']*)')?\}")
_LITERALS = {"*": "*", "?": "?", "$": "$"}


class NotEvaluatedError(Exception):
    """A policy uses what the local AWS does not evaluate; the message says what."""


class _NoValueError(Exception):
    """A policy variable has no value in this request, so the element with it matches nothing."""


@lru_cache(maxsize=8192)
def wildcard(pattern: str, *, ignore_case: bool = False) -> re.Pattern[str]:
    """A pattern with `*` and `?`, and nothing else that is special, as a regular expression."""
    parts = (".*" if c == "*" else "." if c == "?" else re.escape(c) for c in pattern)
    return re.compile("".join(parts), re.DOTALL | (re.IGNORECASE if ignore_case else 0))


def arn_matches(pattern: str, arn: str) -> bool:
    """Whether an ARN fits a pattern; wildcards stay within the parts that colons separate."""
    if pattern == "*":
        return True
    wanted, given = pattern.split(":", 5), arn.split(":", 5)
    # AWS completes ARNs that are too short by wildcards.
    wanted += ["*"] * (6 - len(wanted))
    return len(given) == 6 and all(
        wildcard(w).fullmatch(g) for w, g in zip(wanted, given, strict=True)
    )


def fill_in(text: str, keys: Keys) -> str:
    """`text` with its policy variables replaced.

    Values are taken literally: a `*` that stands for itself cannot be told from a wildcard, so a
    value that has one is refused.

    Raises:
        ValueError: A variable has no value.
    """
    if "${" not in text:
        return text

    def value(match: re.Match[str]) -> str:
        name = match["name"].strip()
        if name in _LITERALS:
            raise NotEvaluatedError(f"the escaped character ${{{name}}} in {text!r}")
        found = keys.get(name.lower())
        if found is not None and len(found) == 1:
            if "*" in found[0] or "?" in found[0]:
                raise NotEvaluatedError(f"the value {found[0]!r} of {name}, which has a wildcard")
            return found[0]
        if match["default"] is not None:
            return match["default"]
        raise _NoValueError(name)

    try:
        return _VARIABLE.sub(value, text)
    except _NoValueError as error:
        raise ValueError(f"{error} has no value") from error


def _moment(text: str) -> datetime:
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return datetime.fromtimestamp(float(text), UTC)
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _in_network(pattern: str, value: str) -> bool:
    return ipaddress.ip_address(value) in ipaddress.ip_network(pattern, strict=False)


# By operator: whether one value of the request fits one value of the policy.
_Test = Callable[[str, str], bool]
_TESTS: dict[str, _Test] = {
    "stringequals": lambda wanted, given: wanted == given,
    "stringequalsignorecase": lambda wanted, given: wanted.lower() == given.lower(),
    "stringlike": lambda wanted, given: bool(wildcard(wanted).fullmatch(given)),
    "numericequals": lambda wanted, given: float(given) == float(wanted),
    "numericlessthan": lambda wanted, given: float(given) < float(wanted),
    "numericlessthanequals": lambda wanted, given: float(given) <= float(wanted),
    "numericgreaterthan": lambda wanted, given: float(given) > float(wanted),
    "numericgreaterthanequals": lambda wanted, given: float(given) >= float(wanted),
    "dateequals": lambda wanted, given: _moment(given) == _moment(wanted),
    "datelessthan": lambda wanted, given: _moment(given) < _moment(wanted),
    "datelessthanequals": lambda wanted, given: _moment(given) <= _moment(wanted),
    "dategreaterthan": lambda wanted, given: _moment(given) > _moment(wanted),
    "dategreaterthanequals": lambda wanted, given: _moment(given) >= _moment(wanted),
    "bool": lambda wanted, given: wanted.lower() == given.lower(),
    "ipaddress": _in_network,
    "arnequals": arn_matches,
    "arnlike": arn_matches,
}
# By negated operator: the one it negates.
_NEGATED = {
    "stringnotequals": "stringequals",
    "stringnotequalsignorecase": "stringequalsignorecase",
    "stringnotlike": "stringlike",
    "numericnotequals": "numericequals",
    "datenotequals": "dateequals",
    "notipaddress": "ipaddress",
    "arnnotequals": "arnequals",
    "arnnotlike": "arnlike",
}


def conditions_hold(conditions: Mapping[str, Mapping[str, Any]], keys: Keys) -> bool:
    """Whether every operator holds for every key that it names.

    Raises:
        NotEvaluatedError: An operator or a key is not known.
    """
    return all(
        _holds(operator, _given(key, keys), _values(wanted), keys)
        for operator, tested in conditions.items()
        for key, wanted in tested.items()
    )


def _given(key: str, keys: Keys) -> Sequence[str]:
    if key.lower() not in keys:
        raise NotEvaluatedError(f"the condition key {key}")
    return keys[key.lower()]


def _values(wanted: Any) -> list[str]:
    items = wanted if isinstance(wanted, list) else [wanted]
    return [str(item).lower() if isinstance(item, bool) else str(item) for item in items]


def _holds(operator: str, given: Sequence[str], wanted: list[str], keys: Keys) -> bool:
    quantifier, _, name = operator.lower().rpartition(":")
    name, if_exists = name.removesuffix("ifexists"), name.endswith("ifexists")
    if name == "null":
        return (not given) == (wanted[0].lower() == "true")
    positive = _NEGATED.get(name, name)
    if positive not in _TESTS or quantifier not in {"", "foranyvalue", "forallvalues"}:
        raise NotEvaluatedError(f"the condition operator {operator}")
    if not given:
        # An absent key fits no value, which is what a negated operator asks for.
        absent = {"": name in _NEGATED, "foranyvalue": False, "forallvalues": True}
        return if_exists or absent[quantifier]
    test = _TESTS[positive]

    def fits(value: str) -> bool:
        return any(_fits(test, text, value, keys) for text in wanted) != (name in _NEGATED)

    if quantifier == "forallvalues":
        return all(fits(value) for value in given)
    return any(fits(value) for value in given)


def _fits(test: _Test, wanted: str, given: str, keys: Keys) -> bool:
    try:
        return test(fill_in(wanted, keys), given)
    except ValueError:
        # A variable without a value, or no number, date or address.
        return False
