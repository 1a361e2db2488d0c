"""CloudFormation as one WSGI application, in AWS's query protocol: forms in, XML out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from werkzeug.wrappers import Request, Response

from local_aws.cloudformation.custom_resource import RESPONSE_PATH
from local_aws.cloudformation.handlers import OPERATIONS
from local_aws.cloudformation.operations import Caller, Operations
from local_aws.context import Context
from local_aws.service_errors import ApiError, error_response
from local_aws.service_models import service_model

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_NAMESPACE = "http://cloudformation.amazonaws.com/doc/2010-05-15/"
_REQUEST_ID = "00000000-0000-4000-8000-000000000000"
_REGION = re.compile(r"Credential=[^/]+/\d{8}/([^/]+)/")


class CloudFormation:
    """Answers the API and receives what custom resources put to their ResponseURLs."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._operations = Operations(context)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serves one request."""
        request = Request(environ)
        if request.path.startswith(RESPONSE_PATH):
            response = self._take_response(request)
        else:
            response = self._answer(request)
        return response(environ, start_response)

    def close(self) -> None:
        """Cancels running operations."""
        self._operations.close()

    def _take_response(self, request: Request) -> Response:
        token = request.path.removeprefix(RESPONSE_PATH)
        known = self._operations.stacks.custom_resources.respond(token, request.get_data())
        return Response(status=200 if known else 403)

    def _answer(self, request: Request) -> Response:
        signed = _REGION.search(request.headers.get("Authorization", ""))
        caller = Caller(
            region=signed[1] if signed else self._context.region,
            agent=request.headers.get("User-Agent", ""),
        )
        name = request.form.get("Action", request.args.get("Action", ""))
        try:
            if name not in OPERATIONS:
                raise ApiError(f"The local AWS has no operation {name}", "InvalidAction")
            answer = OPERATIONS[name](self._operations, caller, _parse_request(name, request.form))
        except ApiError as error:
            return error_response(request.environ, error)
        return Response(_render_response(name, answer), content_type="text/xml")


def _parse_request(operation: str, form: Mapping[str, str]) -> dict[str, Any]:
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


def _render_response(operation: str, result: Mapping[str, Any]) -> bytes:
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
