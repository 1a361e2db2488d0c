"""Templates: parsing, checking, and finding what applies under given parameters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

import yaml

from local_aws.cloudformation.functions import Scope, Value, references, resolve
from local_aws.service_errors import ApiError

_IAM_NAMES = {"GroupName", "InstanceProfileName", "ManagedPolicyName", "RoleName", "UserName"}
_SSM_PARAMETER = "AWS::SSM::Parameter::Value<"


@dataclass(frozen=True)
class Wanted:
    """A resource in a template, with unresolved functions."""

    logical_id: str
    type: str
    properties: dict[str, Value]
    metadata: Value
    dependencies: frozenset[str]
    deletion_policy: str
    update_replace_policy: str


class Template:
    """A template of one stack.

    Args:
        text: JSON or YAML.

    Raises:
        ApiError: It is no template that can be deployed here.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.body = _decode(text)
        self.conditions: dict[str, Value] = self.body.get("Conditions", {})
        self.outputs: dict[str, Value] = self.body.get("Outputs", {})
        self.parameters: dict[str, Value] = self.body.get("Parameters", {})
        self._resources: dict[str, Value] = self.body.get("Resources", {})
        if not self._resources:
            raise ApiError("Template format error: At least one Resources member must be defined.")
        if self.body.get("Transform"):
            raise ApiError(f"Transforms are not supported here: {self.body['Transform']}")

    @property
    def resource_types(self) -> set[str]:
        """All types in the template, whether or not their conditions hold."""
        return {resource["Type"] for resource in self._resources.values()}

    def properties_by_type(self) -> list[tuple[str, dict[str, Value]]]:
        """Type and unresolved properties of all resources, whether or not their conditions hold."""
        return [(body["Type"], body.get("Properties", {})) for body in self._resources.values()]

    def given_or_default(self, given: Mapping[str, str]) -> dict[str, str]:
        """All parameters' values: the given ones or the defaults.

        Raises:
            ApiError: A value is missing, or there is no such parameter.
        """
        unknown = sorted(set(given) - set(self.parameters))
        if unknown:
            raise ApiError(f"Parameters: [{', '.join(unknown)}] do not exist in the template")
        missing = [
            name for name, p in self.parameters.items() if name not in given and "Default" not in p
        ]
        if missing:
            raise ApiError(f"Parameters: [{', '.join(missing)}] must have values")
        return {
            name: str(given.get(name, parameter.get("Default")))
            for name, parameter in self.parameters.items()
        }

    def fill_in(self, given: Mapping[str, str], get_ssm: Any) -> dict[str, Value]:
        """Parameters as functions see them.

        Args:
            get_ssm: Finds the value of an SSM parameter by its name; KeyError if there is none.

        Raises:
            ApiError: A value is missing or not allowed, or there is no such parameter.
        """
        return {
            name: _value(name, self.parameters[name], value, get_ssm)
            for name, value in self.given_or_default(given).items()
        }

    def required_capability(self) -> str | None:
        """The capability that a caller has to acknowledge, if the template creates identities."""
        found = [r for r in self._resources.values() if r["Type"].startswith("AWS::IAM::")]
        if any(_IAM_NAMES & set(resource.get("Properties", {})) for resource in found):
            return "CAPABILITY_NAMED_IAM"
        return "CAPABILITY_IAM" if found else None

    def check_rules(self, scope: Scope) -> None:
        """Raises ApiError if an assertion of the template's Rules does not hold."""
        for rule in self.body.get("Rules", {}).values():
            if "RuleCondition" in rule and not resolve(rule["RuleCondition"], scope):
                continue
            for assertion in rule["Assertions"]:
                if not resolve(assertion["Assert"], scope):
                    rule_text = assertion.get("AssertDescription", "a rule of the template")
                    raise ApiError(f"Template validation error: {rule_text}")

    def wanted(self, scope: Scope) -> dict[str, Wanted]:
        """The resources whose conditions hold, by logical id.

        Raises:
            ApiError: A reference leads nowhere, or references form a circle.
        """
        applying = {
            name: body
            for name, body in self._resources.items()
            if "Condition" not in body or scope.condition(body["Condition"])
        }
        known = set(applying) | set(scope.values) | {"AWS::NoValue"}
        found = {}
        for name, body in applying.items():
            named = set(references(body.get("Properties", {}), scope))
            _check_known(named - known, "Resources")
            depends_on = body.get("DependsOn", [])
            # There is no need to wait for a resource whose condition does not hold.
            first = set([depends_on] if isinstance(depends_on, str) else depends_on)
            _check_known(first - set(self._resources), "Resources")
            found[name] = Wanted(
                logical_id=name,
                type=body["Type"],
                properties=body.get("Properties", {}),
                metadata=body.get("Metadata"),
                dependencies=frozenset((named | first) & set(applying)),
                deletion_policy=body.get("DeletionPolicy", "Delete"),
                update_replace_policy=body.get("UpdateReplacePolicy", "Delete"),
            )
        for body in self.outputs.values():
            if "Condition" not in body or scope.condition(body["Condition"]):
                _check_known(set(references(body["Value"], scope)) - known, "Outputs")
        try:
            TopologicalSorter({name: item.dependencies for name, item in found.items()}).prepare()
        except CycleError as error:
            circle = ", ".join(sorted(set(error.args[1])))
            raise ApiError(f"Circular dependency between resources: [{circle}]") from error
        return found


class _YamlLoader(yaml.CSafeLoader):  # type: ignore[misc] # has no stubs
    """Reads short functions such as `!Sub`, and dates as the strings that templates mean.

    cfn-lint's decoder would do as well, but takes seconds to import.
    """

    yaml_implicit_resolvers = {  # noqa: RUF012 - as in the base class
        first: [(tag, form) for tag, form in resolvers if not tag.endswith(":timestamp")]
        for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
    }

    def short_function(self, name: str, node: yaml.Node) -> Value:
        """What `!name …` stands for."""
        value: Value
        match node:
            case yaml.ScalarNode():
                value = self.construct_scalar(node)
            case yaml.SequenceNode():
                value = self.construct_sequence(node, deep=True)
            case _:
                value = self.construct_mapping(node, deep=True)
        if name == "GetAtt" and isinstance(value, str):
            value = value.split(".", 1)
        return {name if name in ("Ref", "Condition") else f"Fn::{name}": value}


_YamlLoader.add_multi_constructor("!", _YamlLoader.short_function)


def _decode(text: str) -> dict[str, Value]:
    try:
        body = json.loads(text)
    except ValueError:
        try:
            body = yaml.load(text, _YamlLoader)  # noqa: S506 - builds nothing but plain values
        except yaml.YAMLError as error:
            raise ApiError(f"Template format error: {error}") from None
    if not isinstance(body, dict):
        raise ApiError("Template format error: unsupported structure.")
    return body


def _check_known(unknown: set[str], block: str) -> None:
    if unknown:
        raise ApiError(
            "Template format error: Unresolved resource dependencies "
            f"[{', '.join(sorted(unknown))}] in the {block} block of the template"
        )


def _value(name: str, parameter: dict[str, Value], text: str, get_ssm: Any) -> Value:
    kind: str = parameter.get("Type", "String")
    allowed = parameter.get("AllowedValues")
    if allowed is not None and text not in [str(item) for item in allowed]:
        options = ", ".join(str(item) for item in allowed)
        raise ApiError(f"Parameter '{name}' must be one of AllowedValues: [{options}]")
    if kind.startswith(_SSM_PARAMETER):
        try:
            text = get_ssm(text)
        except KeyError:
            raise ApiError(
                f"Unable to fetch parameters [{text}] from parameter store for this account."
            ) from None
        kind = kind.removeprefix(_SSM_PARAMETER).removesuffix(">")
    if kind == "CommaDelimitedList" or kind.startswith("List<"):
        return [item.strip() for item in text.split(",")]
    return text
