"""SageMaker's front: finds a request's action, checks the request and writes the answer."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Request, Response

from local_aws.context import Context
from local_aws.iam.access import Access
from local_aws.sagemaker.children import Children
from local_aws.sagemaker.endpoints import Endpoints
from local_aws.sagemaker.model_data import ModelDataCache
from local_aws.sagemaker.models import EndpointConfigs, Models
from local_aws.sagemaker.resources import invalid
from local_aws.sagemaker.runtime import Runtime, render_error
from local_aws.sagemaker.training_jobs import TrainingJobs
from local_aws.sagemaker.transform_jobs import TransformJobs
from local_aws.service_errors import ApiError, error_response
from local_aws.service_models import find_violations

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_INVOCATION = re.compile(r"/endpoints/(?P<name>[^/]+)/invocations")


class SageMaker:
    """SageMaker and its runtime as one WSGI application."""

    def __init__(self, context: Context, access: Access) -> None:
        self._children = Children()
        models = Models(context, access)
        configs = EndpointConfigs(context, models)
        cache = ModelDataCache(context.state_dir / "sagemaker" / "model-data")
        self._endpoints = Endpoints(context, configs, self._children, cache)
        self._training_jobs = TrainingJobs(context, access, self._children)
        self._transform_jobs = TransformJobs(context, models, self._children, cache)
        self._runtime = Runtime(context, self._endpoints)
        self._actions = {
            **models.actions(),
            **configs.actions(),
            **self._endpoints.actions(),
            **self._training_jobs.actions(),
            **self._transform_jobs.actions(),
        }

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = Request(environ)
        match = _INVOCATION.fullmatch(request.path)
        response = self._invoke(match["name"], request) if match else self._act(request)
        response.headers["x-amzn-RequestId"] = str(uuid.uuid4())
        return response(environ, start_response)

    def close(self) -> None:
        """Ends all jobs and endpoints at once."""
        self._endpoints.close()
        self._training_jobs.close()
        self._transform_jobs.close()
        self._children.close()

    def _invoke(self, name: str, request: Request) -> Response:
        try:
            return self._runtime.invoke(name, request)
        except ApiError as error:
            return render_error(error)

    def _act(self, request: Request) -> Response:
        name = request.headers.get("X-Amz-Target", "").removeprefix("SageMaker.")
        try:
            action = self._actions.get(name)
            if action is None:
                raise ApiError(
                    f"The local AWS has no operation {name or 'without a name'} of SageMaker.",
                    "UnknownOperationException",
                )
            document = json.loads(request.get_data() or b"{}")
            errors = find_violations("sagemaker", name, document)
            if errors:
                noun = "error" if len(errors) == 1 else "errors"
                raise invalid(f"{len(errors)} validation {noun} detected: {'; '.join(errors)}")
            return _render(action(document))
        except ApiError as error:
            return error_response(request.environ, error)


def _render(document: dict[str, Any]) -> Response:
    body = json.dumps(document, default=_encode)
    return Response(body, content_type="application/x-amz-json-1.1")


def _encode(value: object) -> float:
    if isinstance(value, datetime):
        return value.timestamp()
    raise TypeError(f"no JSON for {type(value).__name__}")
