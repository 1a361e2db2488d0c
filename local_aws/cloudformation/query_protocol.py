"""AWS's query protocol by botocore's service model: form parameters in, XML out."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from xml.etree import ElementTree

from local_aws.service_models import service_model

_NAMESPACE = "http://cloudformation.amazonaws.com/doc/2010-05-15/"
_REQUEST_ID = "00000000-0000-4000-8000-000000000000"


def parse_request(operation: str, form: Mapping[str, str]) -> dict[str, Any]:
    """The operation's input from a form; absent members are left out."""
    shape = service_model("cloudformation").operation_model(operation).input_shape
    found = _parse(shape, form, "") if shape is not None else None
    return found or {}


def _parse(shape: Any, form: Mapping[str, str], prefix: str) -> Any:
    if shape.type_name == "structure":
        return _parse_structure(shape, form, prefix)
    if shape.type_name == "list":
        return _parse_list(shape, form, prefix)
    text = form.get(prefix)
    if text is None:
        return None
    if shape.type_name == "boolean":
        return text == "true"
    return int(text) if shape.type_name in {"integer", "long"} else text


def _parse_structure(shape: Any, form: Mapping[str, str], prefix: str) -> dict[str, Any] | None:
    found = {}
    for name, member in shape.members.items():
        value = _parse(member, form, f"{prefix}.{name}" if prefix else name)
        if value is not None:
            found[name] = value
    return found or None


def _parse_list(shape: Any, form: Mapping[str, str], prefix: str) -> list[Any] | None:
    if prefix in form:  # an empty list
        return []
    items: list[Any] = []
    while True:
        item = _parse(shape.member, form, f"{prefix}.member.{len(items) + 1}")
        if item is None:
            return items or None
        items.append(item)


def render_response(operation: str, result: Mapping[str, Any]) -> bytes:
    """The XML answer of `operation`, without the keys of `result` that are None."""
    root = ElementTree.Element(f"{operation}Response", xmlns=_NAMESPACE)
    shape = service_model("cloudformation").operation_model(operation).output_shape
    if shape is not None:
        _render(ElementTree.SubElement(root, f"{operation}Result"), shape, result)
    metadata = ElementTree.SubElement(root, "ResponseMetadata")
    ElementTree.SubElement(metadata, "RequestId").text = _REQUEST_ID
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True))


def _render(node: ElementTree.Element, shape: Any, value: Any) -> None:
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            if value.get(name) is not None:
                _render(ElementTree.SubElement(node, name), member, value[name])
    elif shape.type_name == "list":
        for item in value:
            _render(ElementTree.SubElement(node, "member"), shape.member, item)
    elif isinstance(value, bool):
        node.text = "true" if value else "false"
    elif isinstance(value, datetime):
        node.text = value.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    else:
        node.text = str(value)
