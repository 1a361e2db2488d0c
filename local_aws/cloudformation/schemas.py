"""CloudFormation's resource schemas, as shipped with cfn-lint."""

from __future__ import annotations

from functools import cache

from cfnlint.schema import PROVIDER_SCHEMA_MANAGER
from cfnlint.schema._exceptions import ResourceNotFoundError

from local_aws.cloudformation.functions import Value


@cache
def _create_only(resource_type: str) -> tuple[tuple[str, ...], ...]:
    try:
        # Create-only properties are the same in all regions.
        schema = PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", resource_type).schema
    except ResourceNotFoundError:
        return ()
    paths = schema.get("createOnlyProperties", [])
    return tuple(tuple(path.removeprefix("/properties/").split("/")) for path in paths)


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
    return {path[0] for path in _create_only(resource_type) if _at(old, path) != _at(new, path)}
