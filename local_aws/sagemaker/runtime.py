"""InvokeEndpoint: passes a request to the endpoint's fleet and answers as AWS does."""

from __future__ import annotations

import json
from typing import Any

import urllib3
from werkzeug.wrappers import Request, Response

from local_aws.context import Context
from local_aws.sagemaker.endpoints import Endpoints
from local_aws.sagemaker.fleet import Fleet
from local_aws.sagemaker.instance import NotAnsweringError
from local_aws.service_errors import ApiError

INVOCATION_TIMEOUT_SECONDS = 60.0
_LARGEST_BODY = 6_291_456
# The request headers that reach the container.
_PASSED_ON = ("Content-Type", "Accept")
_INVOKED_VARIANT = "x-Amzn-Invoked-Production-Variant"


class _NoAnswerError(Exception):
    """The server of an instance is gone; `answer` is for the caller if no other fleet serves."""

    def __init__(self, answer: ApiError) -> None:
        super().__init__(str(answer))
        self.answer = answer


class Runtime:
    """The data plane of SageMaker."""

    def __init__(self, context: Context, endpoints: Endpoints) -> None:
        self._context = context
        self._endpoints = endpoints

    def invoke(self, name: str, request: Request) -> Response:
        """Answers POST /endpoints/<name>/invocations.

        Raises:
            ApiError: No such endpoint, too large a body, no answer, or an error of the model.
        """
        body = request.get_data(cache=False)
        if len(body) > _LARGEST_BODY:
            raise ApiError(
                "1 validation error detected: Value at 'body' failed to satisfy constraint: "
                f"Member must have length less than or equal to {_LARGEST_BODY}"
            )
        variant, answer = self._ask(name, request, body)
        if not 200 <= answer.status < 300:
            raise self._model_error(name, answer.status, answer.data.decode(errors="replace"))
        response = Response(answer.data, content_type=answer.headers.get("Content-Type"))
        response.headers[_INVOKED_VARIANT] = variant
        return response

    def _ask(
        self, name: str, request: Request, body: bytes
    ) -> tuple[str, urllib3.BaseHTTPResponse]:
        """Asks a fleet and, if no answer came during an update, the other one.

        Inference changes nothing, so asking twice is safe. It hides that a container ended during
        a request while another fleet serves; what AWS does then is not documented.
        """
        fleet: Fleet | None = None
        answer = ApiError(f"Endpoint {name} of account {self._context.account_id} not found.")
        for _ in range(2):
            fleet = self._endpoints.enter_fleet(name, besides=fleet)
            if fleet is None:
                break
            try:
                return self._post(name, request, body, fleet)
            except _NoAnswerError as error:
                answer = error.answer
            finally:
                fleet.leave()
        raise answer

    def _post(
        self, name: str, request: Request, body: bytes, fleet: Fleet
    ) -> tuple[str, urllib3.BaseHTTPResponse]:
        variant, instance = fleet.choose()
        headers = {
            header: request.headers[header] for header in _PASSED_ON if header in request.headers
        }
        try:
            return variant, instance.post(body, headers, INVOCATION_TIMEOUT_SECONDS)
        except NotAnsweringError as error:
            raise _NoAnswerError(
                ApiError("The service is currently unavailable.", "ServiceUnavailable", 503)
            ) from error
        except urllib3.exceptions.TimeoutError:
            raise self._model_error(
                name,
                0,
                "Your invocation timed out while waiting for a response from container primary. "
                "Review the latency metrics for each container in Amazon CloudWatch, resolve the "
                "issue, and try again.",
            ) from None
        except urllib3.exceptions.HTTPError as error:
            raise _NoAnswerError(
                self._model_error(name, 500, "The container ended before it answered the request.")
            ) from error

    def _model_error(self, name: str, status: int, message: str) -> ApiError:
        region, account = self._context.region, self._context.account_id
        group = f"/aws/sagemaker/Endpoints/{name}"
        side = "client" if 400 <= status < 500 else "server"
        return ApiError(
            f'Received {side} error ({status}) from primary with message "{message}". See '
            f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}"
            f"#logEventViewer:group={group} in account {account} for more information.",
            "ModelError",
            424,
            OriginalStatusCode=status,
            OriginalMessage=message,
            LogStreamArn=f"arn:aws:logs:{region}:{account}:log-group:{group}",
        )


def render_error(error: ApiError) -> Response:
    """An error in the form of the runtime's REST API."""
    document: dict[str, Any] = {"Message": error.message, **error.members}
    return Response(
        json.dumps(document),
        status=error.status,
        content_type="application/json",
        headers={"x-amzn-ErrorType": error.code},
    )
