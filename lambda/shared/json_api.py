"""What the functions behind the REST API have in common: JSON answers, and JSON refusals.

Only functions with the layer of Powertools and pydantic can import this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from api_errors import MAY_PASS, USE_BATCH, ApiError
from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from pydantic_core import to_json

# Lambda's limit for a synchronous answer is 6 MB; some is kept for status and headers.
MAX_ANSWER_BYTES: Final = 6 * 1024 * 1024 - 4096

logger = Logger(child=True)


def json_response(
    body: Mapping[str, object] | bytes, status: int = 200, headers: dict[str, str] | None = None
) -> Response[str]:
    """A JSON response; `body` may already be JSON. ApiError (payload_too_large) past 6 MB."""
    content = body if isinstance(body, bytes) else to_json(body)
    # Lambda puts the body into its own JSON as a string, where these two take one byte more.
    size = len(content) + content.count(b'"') + content.count(b"\\")
    if size > MAX_ANSWER_BYTES:
        raise ApiError(
            "payload_too_large",
            f"The answer would have {size:,} bytes; at most {MAX_ANSWER_BYTES:,} fit. "
            f"Ask for fewer texts or hits at a time. {USE_BATCH}",
        )
    return Response(
        status_code=status,
        content_type="application/json",
        body=content.decode(),
        headers=dict(headers or {}),
    )


class JsonApi(APIGatewayRestResolver):
    """Routes whose every refusal is the JSON of an ApiError.

    `methods` has the allowed methods, such as `GET, DELETE`, of each resource; a path parameter
    stands in braces, as in API Gateway.
    """

    def __init__(self, methods: Mapping[str, str]) -> None:
        super().__init__()
        self._methods = methods
        self.exception_handler(ApiError)(self.refuse)
        self.exception_handler(Exception)(self._unexpected)
        self.not_found(self._no_route)

    @property
    def request_id(self) -> str:
        """Of the present request, as API Gateway numbers it."""
        request_id: str = self.current_event.request_context.request_id
        return request_id

    def refuse(self, error: ApiError) -> Response[str]:
        """The answer that says `error`."""
        logger.info("refused", code=error.code)
        return self._refusal(error, {"Retry-After": "1"} if error.code in MAY_PASS else {})

    def fail(self) -> Response[str]:
        """The answer to what nobody foresaw; log why."""
        return self._refusal(
            ApiError("internal_error", "Something went wrong here; it is not your request.")
        )

    def _unexpected(self, _: Exception) -> Response[str]:
        logger.exception("unexpected")
        return self.fail()

    def _no_route(self, _: NotFoundError) -> Response[str]:
        allowed = self._methods.get(self.current_event.resource)
        if allowed is None:
            there = ", ".join(self._methods)
            return self._refusal(
                ApiError("not_found", f"There is nothing here; there are {there}.")
            )
        sentence = f"Use {allowed.replace(', ', ' or ')} here."
        return self._refusal(ApiError("method_not_allowed", sentence), {"Allow": allowed})

    def _refusal(self, error: ApiError, headers: dict[str, str] | None = None) -> Response[str]:
        return json_response(error.to_dict(self.request_id), error.status, headers)
