"""CloudFormation as one WSGI application."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from werkzeug.wrappers import Request, Response

from local_aws import moto_adapter
from local_aws.cloudformation.custom_resource import RESPONSE_PATH
from local_aws.cloudformation.handlers import OPERATIONS
from local_aws.cloudformation.operations import Caller, Operations
from local_aws.context import Context
from local_aws.iam.access import Access
from local_aws.iam.gate import PRINCIPAL
from local_aws.service_errors import ApiError, error_response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_REGION = re.compile(r"Credential=[^/]+/\d{8}/([^/]+)/")


class CloudFormation:
    """Answers the API and receives what custom resources put to their ResponseURLs."""

    def __init__(self, context: Context, access: Access) -> None:
        self._context = context
        self._operations = Operations(context, access)

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
            principal=request.environ[PRINCIPAL],
        )
        name = request.form.get("Action", request.args.get("Action", ""))
        try:
            if name not in OPERATIONS:
                raise ApiError(f"The local AWS has no operation {name}", "InvalidAction")
            asked = moto_adapter.parse_query("cloudformation", name, request.form)
            answer = OPERATIONS[name](self._operations, caller, asked)
        except ApiError as error:
            return error_response(request.environ, error)
        body = moto_adapter.render_query("cloudformation", name, answer)
        return Response(body, content_type="text/xml")
