"""Lets only those requests through that are signed, and allowed to whom they are signed by."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from local_aws.iam.access import Access, AccessDeniedError
from local_aws.iam.calls import Call, read_call
from local_aws.iam.conditions import NotEvaluatedError
from local_aws.iam.principals import Principal
from local_aws.iam.requirements import UnknownOperationError
from local_aws.iam.signature import Fault, SignatureError, SignedRequest, read_claim, verify
from local_aws.service_errors import (
    ApiError,
    error_response,
    form_action,
    protocol_of,
    unknown_operation,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment
    from werkzeug.wrappers import Response

# Key of a WSGI environment under which the principal of a request is kept.
PRINCIPAL = "local_aws.principal"
# Key under which the call is kept.
CALL = "local_aws.call"

# Error codes by fault: of JSON services, of the query protocol, of S3.
_SIGNATURE_CODES = {
    Fault.MISSING: (
        "MissingAuthenticationTokenException",
        "MissingAuthenticationToken",
        "AccessDenied",
    ),
    Fault.INCOMPLETE: (
        "IncompleteSignatureException",
        "IncompleteSignature",
        "AuthorizationHeaderMalformed",
    ),
    Fault.UNKNOWN_KEY: (
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "InvalidAccessKeyId",
    ),
    Fault.EXPIRED_TOKEN: ("ExpiredTokenException", "ExpiredToken", "ExpiredToken"),
    Fault.INVALID: (
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "SignatureDoesNotMatch",
    ),
}
_DENIED = ("AccessDeniedException", "AccessDenied", "AccessDenied")


class Gate:
    """Every request to the control plane goes through it.

    Attributes:
        access: Decides.
    """

    def __init__(self, access: Access) -> None:
        self.access = access

    def enter(self, environ: WSGIEnvironment) -> Response | Call:
        """The call that a request makes, or the refusal.

        Leaves the principal, the call and the whole body in `environ`.

        Raises:
            ValueError, RecursionError, ExpatError: The body cannot be parsed.
        """
        try:
            principal, service, region = self._authenticate(environ)
        except SignatureError as error:
            return _refuse(environ, 403, _SIGNATURE_CODES[error.fault], error.message)
        environ[PRINCIPAL] = principal
        environ[CALL] = call = read_call(environ, service, region)
        try:
            if not call.operation:
                raise UnknownOperationError(_name(environ))
            self.access.authorize(principal, call)
        except UnknownOperationError as error:
            return error_response(environ, unknown_operation(environ, str(error)))
        except NotEvaluatedError as error:
            return _refuse(environ, 403, _DENIED, f"The local AWS does not evaluate {error}")
        except AccessDeniedError as error:
            status = 400 if "HTTP_X_AMZ_TARGET" in environ else 403
            return _refuse(environ, status, _DENIED, str(error))
        return call

    def left(self, call: Call) -> None:
        """Called once a call has been answered."""
        self.access.note_grants(call)

    def _authenticate(self, environ: WSGIEnvironment) -> tuple[Principal, str, str]:
        def body() -> bytes:
            content: bytes = environ["wsgi.input"].read()
            environ["wsgi.input"] = io.BytesIO(content)
            # Or werkzeug would gather it from pieces again.
            environ["wsgi.input_terminated"] = True
            return content

        request = SignedRequest.of(environ, body)
        claim = read_claim(request)
        key = verify(request, claim, self.access.find_key)
        if not isinstance(environ["wsgi.input"], io.BytesIO):
            body()
        if claim.in_query:
            # What follows finds service and region there.
            scope = f"{claim.access_key}/{claim.date}/{claim.region}/{claim.service}/aws4_request"
            environ["HTTP_AUTHORIZATION"] = f"AWS4-HMAC-SHA256 Credential={scope}, "
        return key.principal, claim.service, claim.region


def _refuse(
    environ: WSGIEnvironment, status: int, codes: tuple[str, str, str], message: str
) -> Response:
    protocol = protocol_of(environ)
    code = codes[2] if protocol == "s3" else codes[1] if protocol == "query" else codes[0]
    return error_response(environ, ApiError(message, code, status))


def _name(environ: WSGIEnvironment) -> str:
    return (
        environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
        or form_action(environ)
        or f"for {environ['REQUEST_METHOD']} {environ['PATH_INFO']}"
    )
