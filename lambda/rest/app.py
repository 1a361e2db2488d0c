"""What the functions behind the REST API have in common: routes, JSON answers, JSON refusals.

API Gateway has found the route before it calls the function, so a look into a table is all that
is left of routing; a framework for it would take a fifth of a cold start.
Only functions with the layer of Powertools and pydantic can import this module.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from aws_lambda_powertools import Logger
from pydantic_core import to_json

from rest.errors import MAY_PASS, USE_BATCH, ApiError
from rest.event import ApiEvent

# Lambda's limit for a synchronous answer is 6 MB; some is kept for status and headers.
MAX_ANSWER_BYTES: Final = 6 * 1024 * 1024 - 4096

logger = Logger(child=True)


@dataclass(frozen=True, slots=True)
class Response:
    """An answer: its HTTP status, its body, which is JSON, and headers beside its type."""

    status: int
    body: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """As API Gateway wants it."""
        headers = {"Content-Type": "application/json", **self.headers}
        return {
            "statusCode": self.status,
            "body": self.body,
            "isBase64Encoded": False,
            "multiValueHeaders": {name: [value] for name, value in headers.items()},
        }


# A route is called with what stood in the braces of its resource, by name.
Route = Callable[..., Response]
Refusal = Callable[[Any], Response]


def json_response(
    body: Mapping[str, object] | bytes, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
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
    return Response(status, content.decode(), headers or {})


class JsonApi:
    """Routes whose every refusal is the JSON of an ApiError.

    A function answers one request at a time; `event` is the present one.
    """

    event: ApiEvent

    def __init__(self) -> None:
        self._routes: dict[str, dict[str, Route]] = {}
        self._refusals: dict[type[Exception], Refusal] = {ApiError: self.refuse}

    def route(self, method: str, resource: str) -> Callable[[Route], Route]:
        """The decorated function answers `method` of `resource`, such as `/batch/{batch_id}`."""

        def register(function: Route) -> Route:
            self._routes.setdefault(resource, {})[method] = function
            return function

        return register

    def refusal(self, *kinds: type[Exception]) -> Callable[[Refusal], Refusal]:
        """The decorated function makes the answer to these exceptions."""

        def register(function: Refusal) -> Refusal:
            self._refusals.update(dict.fromkeys(kinds, function))
            return function

        return register

    @property
    def request_id(self) -> str:
        """Of the present request, as API Gateway numbers it."""
        return self.event.request_id

    def answer(self, event: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to one event of API Gateway's proxy integration."""
        self.event = ApiEvent.read(event)
        try:
            response = self._call()
        except Exception as error:  # whatever it is, the caller gets JSON
            response = self._refused(error)
        return response.to_dict()

    def _call(self) -> Response:
        functions = self._routes.get(self.event.resource)
        if functions is None:
            there = ", ".join(self._routes)
            return self._refuse(ApiError("not_found", f"There is nothing here; there are {there}."))
        function = functions.get(self.event.method)
        if function is None:
            sentence = f"Use {' or '.join(functions)} here."
            error = ApiError("method_not_allowed", sentence)
            return self._refuse(error, {"Allow": ", ".join(functions)})
        return function(**self.event.parameters)

    def _refused(self, error: Exception) -> Response:
        for kind, refusal in self._refusals.items():
            if isinstance(error, kind):
                return refusal(error)
        logger.exception("unexpected")
        return self.fail()

    def refuse(self, error: ApiError) -> Response:
        """The answer that says `error`."""
        logger.info("refused", code=error.code)
        return self._refuse(error, {"Retry-After": "1"} if error.code in MAY_PASS else {})

    def fail(self) -> Response:
        """The answer to what nobody foresaw; log why."""
        return self._refuse(
            ApiError("internal_error", "Something went wrong here; it is not your request.")
        )

    def _refuse(self, error: ApiError, headers: Mapping[str, str] | None = None) -> Response:
        return json_response(error.to_dict(self.request_id), error.status, headers)
