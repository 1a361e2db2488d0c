"""Errors in the form of the service that a request is for: JSON or XML, never HTML."""

from __future__ import annotations

import json
import re
import uuid
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from werkzeug.wrappers import Response

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

API_PATH = "/execute-api/"

_SCOPE = re.compile(r"Credential=[^/]+/\d{8}/[^/]+/(?P<service>[^/]+)/aws4_request")


def signed_service(environ: WSGIEnvironment) -> str:
    """The service a request was signed for, "" when it is not signed."""
    match = _SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
    return match["service"] if match else ""


def error_response(environ: WSGIEnvironment, status: int, code: str, message: str) -> Response:
    """The error `code` as the service that `environ` is for would answer it."""
    service = signed_service(environ)
    if environ.get("PATH_INFO", "").startswith(API_PATH):
        kind, body = "application/json", json.dumps({"message": message})
    elif "HTTP_X_AMZ_TARGET" in environ:
        kind = "application/x-amz-json-1.1"
        body = json.dumps({"__type": code, "message": message})
    elif environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
        kind, body = "text/xml", _xml("ErrorResponse/Error", code, message)
    elif service in {"", "s3"}:
        kind, body = "application/xml", _xml("Error", code, message)
    else:
        kind, body = "application/json", json.dumps({"message": message})
    response = Response(body, status=status, content_type=kind)
    response.headers["x-amzn-ErrorType"] = code
    response.headers["x-amzn-RequestId"] = str(uuid.uuid4())
    return response


def _xml(path: str, code: str, message: str) -> str:
    root, *below = path.split("/")
    node = document = ElementTree.Element(root)
    for name in below:
        node = ElementTree.SubElement(node, name)
    for name, text in (("Code", code), ("Message", message)):
        ElementTree.SubElement(node, name).text = text
    ElementTree.SubElement(document, "RequestId").text = str(uuid.uuid4())
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(document).decode()}'
