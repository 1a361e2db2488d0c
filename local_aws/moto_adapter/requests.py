"""Requests in the words of AWS's APIs, by moto's routers and parsers."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any
from xml.parsers.expat import ExpatError

from botocore.exceptions import UnknownServiceError
from moto.core.parse import PROTOCOL_PARSERS, RequestParserError
from moto.core.request import Request, determine_request_protocol
from moto.core.routing import get_service_router
from moto.core.utils import get_service_model
from werkzeug.exceptions import NotFound

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

# A service's first request makes its router, which parses source text, and Python 3.11 may raise
# SystemError ("AST constructor recursion depth mismatch") where two threads do so at once.
_routing = threading.Lock()


def parse_request(environ: WSGIEnvironment, service: str) -> tuple[str, dict[str, Any]]:
    """The operation and the parameters of a request; ("", {}) if the service has no such operation.

    Args:
        environ: Its body is in memory, and stays unread.
        service: botocore's name of it.

    Raises:
        ValueError, RecursionError, ExpatError: The body cannot be parsed.
    """
    body = environ["wsgi.input"]
    request: Any = Request(environ, shallow=False)
    try:
        with _routing:
            operation, path_parameters = get_service_router(service).match(request)
        model = get_service_model(service)
        protocol = determine_request_protocol(model, request.content_type)
    except (NotFound, NotImplementedError, UnknownServiceError):
        return "", {}
    finally:
        body.seek(0)
    streams = operation.has_streaming_input
    parsed = _parse(
        PROTOCOL_PARSERS[protocol](operation),
        {
            # What is only stored needs no parsing.
            "body": b"" if streams or protocol == "query" else body.getvalue(),
            "headers": request.headers,
            "method": request.method,
            "url_params": path_parameters,
            "url_path": request.path,
            "values": request.values if protocol == "query" else request.args,
        },
    )
    body.seek(0)
    return str(operation.name), parsed


def _parse(parser: Any, request: dict[str, Any]) -> dict[str, Any]:
    try:
        parsed: dict[str, Any] = parser.parse(request)
    except RequestParserError as error:
        raise ExpatError(str(error)) from error
    return parsed
