"""Errors in the form of the service that a request is for: JSON or XML, never HTML."""

from __future__ import annotations

import json
import logging
import re
import uuid
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote
from xml.etree import ElementTree
from xml.parsers.expat import ExpatError

from werkzeug.wrappers import Response

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

API_PATH = "/execute-api/"
# Key of a WSGI environment under which the server keeps the bytes of a posted form.
FORM = "local_aws.form"

logger = logging.getLogger(__name__)

_SCOPE = re.compile(r"Credential=[^/]+/\d{8}/[^/]+/(?P<service>[^/]+)/aws4_request")
_SCOPE_IN_QUERY = re.compile(r"X-Amz-Credential=([^&]+)")
# Raised for invalid or deeply nested JSON, text that is not UTF-8, and invalid XML.
_UNREADABLE = (json.JSONDecodeError, RecursionError, UnicodeDecodeError, ExpatError)


class ApiError(Exception):
    """A request that a service refuses.

    Args:
        code: AWS's name of the error.
        status: HTTP status.
        members: Further members of the error's shape.
    """

    def __init__(
        self, message: str, code: str = "ValidationError", status: int = 400, **members: object
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.status = status
        self.members = members


def signed_service(environ: WSGIEnvironment) -> str:
    """The service a request was signed for, "" when it is not signed."""
    stated = environ.get("HTTP_AUTHORIZATION") or unquote(
        "".join(f"Credential={c}" for c in _SCOPE_IN_QUERY.findall(environ.get("QUERY_STRING", "")))
    )
    match = _SCOPE.search(stated)
    return match["service"] if match else ""


def protocol_of(environ: WSGIEnvironment) -> str:
    """How the service that a request is for writes errors: "json", "query", "s3" or "rest-json"."""
    if environ.get("PATH_INFO", "").startswith(API_PATH):
        return "rest-json"
    if "HTTP_X_AMZ_TARGET" in environ:
        return "json"
    if is_form(environ) and environ["REQUEST_METHOD"] == "POST":
        return "query"
    return "s3" if signed_service(environ) in {"", "s3"} else "rest-json"


def is_form(environ: WSGIEnvironment) -> bool:
    """Whether the body is a form, as in the query protocol."""
    kind: str = environ.get("CONTENT_TYPE", "")
    return kind.startswith("application/x-www-form-urlencoded")


def error_response(environ: WSGIEnvironment, error: ApiError) -> Response:
    """The error as the service that `environ` is for would answer it; members in JSON only."""
    document = {"message": error.message, **error.members}
    match protocol_of(environ):
        case "json":
            kind = "application/x-amz-json-1.1"
            body = json.dumps({"__type": error.code, **document})
        case "query":
            kind, body = "text/xml", _xml("ErrorResponse/Error", error)
        case "s3":
            kind, body = "application/xml", _xml("Error", error)
        case _:
            kind, body = "application/json", json.dumps(document)
    response = Response(body, status=error.status, content_type=kind)
    response.headers["x-amzn-ErrorType"] = error.code
    response.headers["x-amzn-RequestId"] = str(uuid.uuid4())
    return response


def failure_response(environ: WSGIEnvironment, error: Exception) -> Response:
    """Logs what was raised where `environ` should have been answered, and answers for it.

    A body that cannot be parsed is the caller's error, anything else an internal failure.
    """
    path: str = environ.get("PATH_INFO", "")
    action = environ.get("HTTP_X_AMZ_TARGET") or form_action(environ)
    method = environ["REQUEST_METHOD"]
    logger.error("%s %s failed", method, f"{path} ({action})" if action else path, exc_info=error)
    to_api, to_s3 = path.startswith(API_PATH), signed_service(environ) == "s3"
    if isinstance(error, _UNREADABLE):
        code = "MalformedXML" if isinstance(error, ExpatError) else "SerializationException"
        return error_response(environ, ApiError("The request body could not be parsed", code))
    if isinstance(error, NotImplementedError):
        return error_response(environ, unknown_operation(environ, action.rpartition(".")[2]))
    if to_api:
        code, message = "InternalServerErrorException", "Internal server error"
    else:
        code = "InternalError" if to_s3 else "InternalFailure"
        message = f"The local AWS failed: {type(error).__name__}: {error}"
    return error_response(environ, ApiError(message, code, 500))


def unknown_operation(environ: WSGIEnvironment, name: str) -> ApiError:
    """The error for an operation that there is none of here."""
    codes = {"query": "InvalidAction", "s3": "NotImplemented"}
    code = codes.get(protocol_of(environ), "UnknownOperationException")
    return ApiError(f"The local AWS has no operation {name}", code)


def form_action(environ: WSGIEnvironment) -> str:
    """The action that a form names, if it is one."""
    form: bytes = environ.get(FORM, b"")
    return parse_qs(form.decode(errors="replace")).get("Action", [""])[0]


def _xml(path: str, error: ApiError) -> str:
    root, *below = path.split("/")
    node = document = ElementTree.Element(root)
    for name in below:
        node = ElementTree.SubElement(node, name)
    for name, text in (("Code", error.code), ("Message", error.message)):
        ElementTree.SubElement(node, name).text = text
    ElementTree.SubElement(document, "RequestId").text = str(uuid.uuid4())
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ElementTree.tostring(document).decode()}'
