"""A REST API behind API Gateway: routes declared once, answers and errors in JSON.

Only functions with the layer of Powertools and pydantic can import this package.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from http import HTTPStatus
from typing import Annotated, Any, Final, TypeVar

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from pydantic import BaseModel, Field, Json
from pydantic_core import to_json

from rest.body import read_request
from rest.errors import FLAT, RETRY_AFTER, STATUS, USE_BATCH, ApiError, ErrorAnswer, ErrorForm

# Lambda's limit for a synchronous answer is 6 MB; some is kept for status and headers.
MAX_ANSWER_BYTES: Final = 6 * 1024 * 1024 - 4096
_JSON: Final = "application/json"
# The codes of every route, of every route with a body, and of the gateway itself.
_ALWAYS: Final = ("not_found", "method_not_allowed", "internal_error")
_BODY: Final = ("invalid_request", "payload_too_large", "unsupported_media_type")
_GATEWAY: Final = {(401, "unauthorized"), (403, "forbidden"), (429, "throttled")}

Route = TypeVar("Route", bound=Callable[..., object])

logger = Logger(child=True)


CorsOrigins = Annotated[
    Json[frozenset[str]],
    Field(
        alias="CORS_ORIGINS",
        default=frozenset(),
        description="JSON list of the pages elsewhere that may read the answers",
    ),
]
"""The variable of a function's environment for RestApp's `cors_origins`."""


class RestApp(APIGatewayRestResolver):
    """Powertools' resolver with this API's form of requests, answers and errors.

    `function` names the Lambda function in the OpenAPI document: API Gateway sends it the routes.
    Pages of `cors_origins` may read the answers; API Gateway itself answers their preflights.
    """

    def __init__(self, function: str) -> None:
        super().__init__()
        self._function = function
        self.cors_origins: frozenset[str] = frozenset()
        self._methods: dict[str, list[str]] = {}
        self._error_forms: dict[str, ErrorForm] = {}
        self.not_found(self._no_route)
        self.exception_handler(ApiError)(self.refuse)
        self.exception_handler(Exception)(self.fail)

    def operation(
        self,
        method: str,
        resource: str,
        summary: str,
        *,
        answers: Mapping[int, type],
        errors: tuple[str, ...] = (),
        error_form: ErrorForm = FLAT,
        auth: tuple[str, ...] = (),
    ) -> Callable[[Route], Route]:
        """Declares a route: what answers it, and what the OpenAPI document says of it.

        The decorated function is called with the path's parameters, and with the body if one of
        its own is annotated with a pydantic model. It returns the answer, an object or its JSON,
        or a pair of answer and status.

        Args:
            resource: as API Gateway writes it, such as `/batch/{batch_id}`.
            answers: the shape of the body by status; errors have `error_form`'s by default.
            errors: the codes of the function's errors beyond those that are always possible.
            auth: the values of `api.auth` with which the route exists; by default all.
        """

        def register(function: Route) -> Route:
            signature = inspect.signature(function, eval_str=True)
            body = next(
                (
                    (parameter.name, parameter.annotation)
                    for parameter in signature.parameters.values()
                    if isinstance(parameter.annotation, type)
                    and issubclass(parameter.annotation, BaseModel)
                ),
                None,
            )

            @wraps(function)
            def respond() -> Response[str]:
                arguments: dict[str, object] = dict(self.current_event.path_parameters)
                if body:
                    arguments[body[0]] = read_request(self.current_event, body[1])
                result = function(**arguments)
                found, status = result if isinstance(result, tuple) else (result, 200)
                return json_response(found, status)

            respond.__signature__ = signature.replace(  # type: ignore[attr-defined]
                return_annotation=inspect.Signature.empty
            )
            self._methods.setdefault(resource, []).append(method)
            self._error_forms[resource] = error_form
            codes = (*_ALWAYS, *(_BODY if body else ()), *errors)
            self.route(
                resource,
                method,
                summary=summary,
                operation_id=function.__name__,
                responses=_responses(answers, codes, error_form.shape),
                openapi_extensions={"x-function": self._function}
                | ({"x-auth": list(auth)} if auth else {}),
            )(respond)
            return function

        return register

    @property
    def request_id(self) -> str:
        """The current request's, as API Gateway numbers it."""
        return self.current_event.request_context.request_id or ""

    def resolve(self, event: Mapping[str, Any], context: Any) -> dict[str, Any]:
        """The answer to one event of API Gateway's proxy integration."""
        # The gateway has found the resource; the path may begin with a custom domain's mapping.
        answer = super().resolve({**event, "path": event["resource"]}, context)
        if self.cors_origins:
            answer["multiValueHeaders"].update(self._cors_headers())
        return answer

    def refuse(
        self, error: ApiError, headers: Mapping[str, str | list[str]] | None = None
    ) -> Response[str]:
        """The answer that says `error`."""
        logger.info("refused", code=error.code)
        seconds = error.retry_seconds or RETRY_AFTER.get(error.code)
        if seconds is not None:
            headers = {"Retry-After": str(seconds), **(headers or {})}
        form = self._error_forms.get(self.current_event.path, FLAT)
        return json_response(form.write(error, self.request_id), error.status, headers)

    def fail(self, _: Exception) -> Response[str]:
        """The answer to an unforeseen exception."""
        logger.exception("unexpected")
        return self.refuse(ApiError("internal_error", "Internal error; your request is fine."))

    def _cors_headers(self) -> dict[str, list[str]]:
        """What lets a page of one of the origins read the answer."""
        headers = {"Vary": ["Origin"]}
        origin = self.current_event.headers.get("origin")
        if origin in self.cors_origins:
            headers["Access-Control-Allow-Origin"] = [origin]
            headers["Access-Control-Expose-Headers"] = ["Retry-After"]
        return headers

    def _no_route(self, _: Exception) -> Response[str]:
        methods = self._methods.get(self.current_event.path)
        if methods is None:
            known = ", ".join(self._methods)
            return self.refuse(ApiError("not_found", f"No such path; there are {known}."))
        error = ApiError("method_not_allowed", f"Use {' or '.join(methods)} here.")
        return self.refuse(error, {"Allow": ", ".join(methods)})


def json_response(
    body: object, status: int = 200, headers: Mapping[str, str | list[str]] | None = None
) -> Response[str]:
    """A JSON response; bytes are JSON already. ApiError (payload_too_large) past 6 MB."""
    content = body if isinstance(body, bytes) else to_json(body)
    # Lambda puts the body into its own JSON as a string, where these two take one byte more.
    size = len(content) + content.count(b'"') + content.count(b"\\")
    if size > MAX_ANSWER_BYTES:
        raise ApiError(
            "payload_too_large",
            f"The answer would have {size:,} bytes; at most {MAX_ANSWER_BYTES:,} fit. "
            f"Ask for fewer texts or hits at a time. {USE_BATCH}",
        )
    return Response(status, _JSON, content.decode(), headers)


def _responses(answers: Mapping[int, type], codes: tuple[str, ...], error: type) -> dict[int, Any]:
    """OpenAPI's responses of a route: its answers, then the codes of each error's status.

    The statuses that only the gateway has keep the gateway's shape.
    """
    responses = {
        status: _response(shape, shape.__doc__ or "")
        for status, shape in answers.items()
        if status < HTTPStatus.BAD_REQUEST
    }
    descriptions: dict[int, list[str]] = {}
    for status, code in sorted({*((STATUS[code], code) for code in codes), *_GATEWAY}):
        descriptions.setdefault(status, []).append(code)
    for status, names in descriptions.items():
        default = error if not {*names}.isdisjoint(codes) else ErrorAnswer
        responses[status] = _response(answers.get(status, default), " or ".join(names))
    return responses


def _response(shape: type, description: str) -> dict[str, Any]:
    return {"description": description, "content": {_JSON: {"model": shape}}}
