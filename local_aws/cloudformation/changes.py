"""Previews of what an execution would change."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from graphlib import TopologicalSorter

from local_aws.cloudformation.functions import UNKNOWN, Scope, Value, resolve
from local_aws.cloudformation.model import Resource, Stack
from local_aws.cloudformation.schemas import create_only_properties
from local_aws.cloudformation.template import Wanted

# Makes a scope with the given Ref and Fn::GetAtt.
ScopeFactory = Callable[[Callable[[str], Value], Callable[[str, str], Value]], Scope]


def with_stack_tags(
    properties: dict[str, Value], form: str, tags: Mapping[str, str]
) -> dict[str, Value]:
    """`properties` with the stack's tags added; the resource's own take precedence.

    Args:
        form: `Provider.tags` of the type.
    """
    if not tags or not form:
        return properties
    own = properties.get("Tags", {} if form == "map" else [])
    if form == "map":
        return {**properties, "Tags": {**tags, **own}}
    named = {tag["Key"] for tag in own}
    more = [{"Key": key, "Value": value} for key, value in tags.items() if key not in named]
    return {**properties, "Tags": [*own, *more]}


def is_custom(resource_type: str) -> bool:
    """Whether a Lambda function of the app provides the type."""
    return (
        resource_type.startswith("Custom::")
        or resource_type == "AWS::CloudFormation::CustomResource"
    )


def _at(properties: Value, path: tuple[str, ...]) -> Value:
    for index, key in enumerate(path):
        if key == "*" and isinstance(properties, list):
            return [_at(item, path[index + 1 :]) for item in properties]
        if not isinstance(properties, dict):
            return None
        properties = properties.get(key)
    return properties


def changed_create_only(resource_type: str, old: Value, new: Value) -> set[str]:
    """The changed top-level properties that require a replacement."""
    return {
        path[0]
        for path in create_only_properties(resource_type)
        if _at(old, path) != _at(new, path)
    }


def replacing(resource_type: str, old: Value, new: Value) -> set[str]:
    """The changed properties that require a replacement."""
    # The function behind a custom resource decides that itself.
    return set() if is_custom(resource_type) else changed_create_only(resource_type, old, new)


def preview(
    stack: Stack,
    wanted: Mapping[str, Wanted],
    scope: ScopeFactory,
    tags: Mapping[str, str],
    tags_form: Callable[[str], str],
) -> list[dict[str, Value]]:
    """The changes of a change set in the API's form, in the order of the template.

    Values that are known only after execution are shown as CloudFormation shows them.
    """
    fresh: set[str] = set()  # will have a new physical id
    touched: set[str] = set()  # may get other attributes
    changes: dict[str, dict[str, Value]] = {}

    def ref(name: str) -> Value:
        return UNKNOWN if name in fresh else stack.resources[name].physical_id

    def get_att(name: str, attribute: str) -> Value:
        if name in fresh or name in touched:
            return UNKNOWN
        return stack.resources[name].attributes.get(attribute, UNKNOWN)

    order = TopologicalSorter({name: item.dependencies for name, item in wanted.items()})
    for name in order.static_order():
        item, old = wanted[name], stack.resources.get(name)
        new = resolve(item.properties, scope(ref, get_att))
        new = with_stack_tags(new, tags_form(item.type), tags)
        if old is None:
            fresh.add(name)
            changes[name] = _change("Add", name, item.type, None)
            continue
        change = _modification(old, item, new)
        if change is not None:
            changes[name] = change
            if change["Replacement"] != "False":
                fresh.add(name)
            if is_custom(item.type):
                touched.add(name)
    removed = [resource for name, resource in stack.resources.items() if name not in wanted]
    for resource in removed:
        change = _change("Remove", resource.logical_id, resource.type, resource.physical_id)
        change["PolicyAction"] = "Retain" if resource.deletion_policy == "Retain" else "Delete"
        changes[resource.logical_id] = change
    names = [name for name in [*wanted, *changes] if name in changes]
    return [{"Type": "Resource", "ResourceChange": changes[name]} for name in dict.fromkeys(names)]


def _change(
    action: str, logical_id: str, resource_type: str, physical_id: str | None
) -> dict[str, Value]:
    return {
        "Action": action,
        "LogicalResourceId": logical_id,
        "PhysicalResourceId": physical_id,
        "ResourceType": resource_type,
        "Scope": [],
        "Details": [],
    }


def _modification(old: Resource, item: Wanted, new: dict[str, Value]) -> dict[str, Value] | None:
    keys = sorted(key for key in {*old.properties, *new} if old.properties.get(key) != new.get(key))
    policies = (item.deletion_policy, item.update_replace_policy)
    policies_changed = policies != (old.deletion_policy, old.update_replace_policy)
    if not keys and old.type == item.type and not policies_changed:
        return None
    change = _change("Modify", item.logical_id, item.type, old.physical_id)
    recreating = replacing(item.type, old.properties, new)
    for key in keys:
        change["Details"].append(_detail(key, old, new, recreating))
    change["Scope"] = sorted({"Tags" if key == "Tags" else "Properties" for key in keys})
    if policies_changed:
        change["Scope"].append("DeletionPolicy")
    sure = any(surely_differs(old.properties.get(key), new.get(key)) for key in recreating)
    if old.type != item.type or sure:
        change["Replacement"] = "True"
        change["PolicyAction"] = (
            "ReplaceAndRetain" if old.update_replace_policy == "Retain" else "ReplaceAndDelete"
        )
    else:
        change["Replacement"] = "Conditional" if recreating else "False"
    return change


def surely_differs(old: Value, new: Value) -> bool:
    """Whether `new` differs from `old` whatever its unknown values turn out to be."""
    if isinstance(old, dict) and isinstance(new, dict):
        return old.keys() != new.keys() or any(surely_differs(old[key], new[key]) for key in old)
    if isinstance(old, list) and isinstance(new, list):
        return len(old) != len(new) or any(map(surely_differs, old, new))
    open_value = isinstance(new, str) and UNKNOWN in new
    return not open_value and bool(old != new)


def _detail(
    key: str, old: Resource, new: dict[str, Value], recreating: set[str]
) -> dict[str, Value]:
    before, after = old.properties.get(key), new.get(key)
    sure = surely_differs(before, after)
    recreation = "Never"
    if key in recreating:
        recreation = "Always" if sure else "Conditionally"
    return {
        "Target": {
            "Attribute": "Tags" if key == "Tags" else "Properties",
            "Name": key,
            "RequiresRecreation": recreation,
            "Path": f"/Properties/{key}",
            "BeforeValue": None if before is None else _shown(before),
            "AfterValue": None if after is None else _shown(after),
            "AttributeChangeType": "Add"
            if before is None
            else "Remove"
            if after is None
            else "Modify",
        },
        "Evaluation": "Static" if sure else "Dynamic",
        "ChangeSource": "DirectModification",
    }


def _shown(value: Value) -> str:
    return value if isinstance(value, str) else json.dumps(value)
