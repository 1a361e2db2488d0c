"""moto's server, and its reading and writing of AWS's query protocol."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import moto.core.utils
from flask import request
from moto.core.common_models import BaseModel
from moto.core.config import default_user_config
from moto.core.loaders import Loader, moto_root
from moto.core.model import ServiceModel
from moto.core.parse import QueryParser
from moto.core.serialize import QuerySerializer, SerializationContext
from moto.core.utils import get_service_model
from moto.moto_server import werkzeug_app
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from local_aws.moto_adapter.patching import replace, service_lock
from local_aws.service_errors import ApiError, error_response
from local_aws.service_models import DescriptionFiles, loader, session_lock

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# Keeps S3 metadata headers with underscores in their names, which werkzeug drops.
RequestHandler = MotoRequestHandler


def create_wsgi_app() -> WSGIApplication:
    """moto's server as one WSGI application, which finds the service of each request.

    Makes moto run state machines and load AWS's managed policies.
    """
    default_user_config["stepfunctions"]["execute_state_machine"] = True
    default_user_config["iam"]["load_aws_managed_policies"] = True
    # It would let every page read every answer.
    werkzeug_app.DISABLE_GLOBAL_CORS = True  # type: ignore[attr-defined]
    application = DomainDispatcherApplication(_create_service_app)

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        # The default content type of uploads of many clients. moto would parse the content as a
        # form and lose it.
        form = environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded")
        if form and environ["REQUEST_METHOD"] == "PUT":
            environ["CONTENT_TYPE"] = "binary/octet-stream"
        answered: Iterable[bytes] = application(environ, start_response)
        return answered

    return answer


def parse_query(service: str, operation: str, form: Mapping[str, str]) -> dict[str, Any]:
    """The operation's input from a form; absent members are left out."""
    model: Any = get_service_model(service).operation_model(operation)
    return dict(QueryParser(model).parse(cast(Any, {"values": form})))


def render_query(service: str, operation: str, result: Mapping[str, Any]) -> str | bytes:
    """The XML answer of an operation, without the keys of `result` that are None."""
    model: Any = get_service_model(service).operation_model(operation)
    context = SerializationContext(str(uuid.uuid4()))
    return QuerySerializer(model, context).serialize(result)["body"]


def _create_service_app(service: Any) -> Any:
    application = create_backend_app(service)
    application.register_error_handler(HTTPException, _without_html)
    lock = service_lock(service)

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Any:
        # S3 transfers large bodies, and invocations last as long as their functions.
        if service == "s3" or environ["PATH_INFO"].endswith("/invocations"):
            return application(environ, start_response)
        with lock:
            return application(environ, start_response)

    return answer


def _without_html(error: HTTPException) -> HTTPException | Response:
    # moto's errors have the service's form; werkzeug's, such as 404, are HTML pages.
    if not type(error).__module__.startswith("werkzeug."):
        return error
    code = error.name.replace(" ", "")
    refusal = ApiError(error.description or error.name, code, error.code or 500)
    return error_response(request.environ, refusal)


def _one_at_a_time(original: Callable[..., Any]) -> Any:
    # moto's method and the method of botocore that it calls cache under the same key, so for a
    # moment the cache holds botocore's model. A router that another request builds then fails,
    # since only moto's model has `http_trait`. First requests of a service do come in parallel.
    lock = threading.RLock()

    def operation_model(self: Any, operation_name: str) -> Any:
        with lock:
            return original(self, operation_name)

    return operation_model


replace(ServiceModel, "operation_model", _one_at_a_time)


def _load_once(_original: Callable[..., Any]) -> Any:
    # moto makes a loader, which looks for all services there are, for each description. Nearly all
    # are botocore's own.
    own = Loader([moto_root], file_loader=DescriptionFiles())

    def load(service: str, kind: str) -> Any:
        adds = any(Path(moto_root, service.replace("-", "")).glob(f"*/{kind}.moto-extras.*"))
        with session_lock:
            return (own if adds else loader).load_service_model(service, kind)

    return load


replace(moto.core.utils, "_load_service_model", _load_once)
# moto keeps a list of everything that it has ever made, each line of a log, too, for a reset.
BaseModel.__new__ = lambda cls, *_args, **_settings: object.__new__(cls)  # type: ignore[method-assign]
# moto looks for all its packages at each request.
replace(DomainDispatcherApplication, "get_backend_for_host", lru_cache(maxsize=1024))
