"""The local AWS: all services in one process at one port."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from werkzeug.datastructures import EnvironHeaders
from werkzeug.serving import ThreadedWSGIServer
from werkzeug.wrappers import Response

from local_aws import moto_adapter, s3_cors
from local_aws.api_gateway import RestApis
from local_aws.cloudformation import CloudFormation
from local_aws.cloudformation.custom_resource import RESPONSE_PATH
from local_aws.context import Context
from local_aws.events import ObjectEvents
from local_aws.http_handler import KeepAliveHandler
from local_aws.iam.access import Access
from local_aws.iam.calls import Call
from local_aws.iam.gate import Gate
from local_aws.iam.principals import make_administrator_key
from local_aws.iam.simulation import simulation
from local_aws.lambda_runtime import LambdaRuntime
from local_aws.s3_vectors import S3Vectors
from local_aws.sagemaker import SageMaker
from local_aws.service_errors import API_PATH, ApiError, error_response
from local_aws.state_machines import StateMachines
from local_aws.web_pages import web_page_refusal

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


def _no_events(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    # The CDK CLI looks into CloudTrail to explain failures; there is no trail here.
    del environ
    start_response("200 OK", [("Content-Type", "application/x-amz-json-1.1")])
    return [json.dumps({"Events": []}).encode()]


class Dispatcher:
    """Passes each request to the part that answers it.

    Refuses requests from web pages, and those that the gate does not let in. Deployed APIs decide
    for themselves who may call them, buckets which pages may use presigned URLs, and anyone who
    knows the ResponseURL of a custom resource may put an answer there.

    Args:
        gate: Lets requests to the control plane in.
        fallback: Answers what is for no part.
        parts: "cloudformation", "s3vectors", "sagemaker" and "rest_apis"; `fallback` answers for
            missing ones.
    """

    def __init__(
        self, gate: Gate, fallback: WSGIApplication, parts: dict[str, WSGIApplication]
    ) -> None:
        self._gate = gate
        self._fallback = fallback
        self._parts = parts

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        to_api = environ.get("PATH_INFO", "").startswith(API_PATH)
        port = environ["SERVER_PORT"]
        presigned = not to_api and s3_cors.is_presigned(environ)
        headers = EnvironHeaders(environ)
        if reason := web_page_refusal(headers, port, open_to_pages=to_api or presigned):
            response = error_response(environ, ApiError(reason, "AccessDenied", 403))
            return response(environ, start_response)
        if to_api:
            return self._part("rest_apis")(environ, start_response)
        if environ.get("PATH_INFO", "").startswith(RESPONSE_PATH):
            return self._part("cloudformation")(environ, start_response)
        if presigned:
            if environ["REQUEST_METHOD"] == "OPTIONS":
                return s3_cors.answer_preflight(environ)(environ, start_response)
            start_response = s3_cors.with_headers(environ, start_response)
        entered = self._gate.enter(environ)
        if isinstance(entered, Response):
            return entered(environ, start_response)
        answer = self._choose(entered)(environ, start_response)
        self._gate.left(entered)
        return answer

    def _choose(self, call: Call) -> WSGIApplication:
        if call.service == "cloudtrail":
            return _no_events
        if call.operation == "SimulatePrincipalPolicy":
            return simulation(self._gate.access, call)
        return self._part(call.service.partition("-")[0])

    def _part(self, name: str) -> WSGIApplication:
        return self._parts.get(name, self._fallback)


def _create_parts(context: Context, access: Access) -> dict[str, Any]:
    # The Lambda runtime, the state machines and the events answer no requests: they work behind
    # moto's services.
    lambda_runtime = LambdaRuntime(context, access)
    return {
        "access": access,
        "lambda_runtime": lambda_runtime,
        "s3vectors": S3Vectors(context, access),
        "sagemaker": SageMaker(context, access),
        "rest_apis": RestApis(context, access, lambda_runtime),
        "state_machines": StateMachines(context, access),
        "object_events": ObjectEvents(context, access),
        "cloudformation": CloudFormation(context, access),
    }


def _not_started(_environ: WSGIEnvironment, _start_response: StartResponse) -> Iterable[bytes]:
    raise RuntimeError("not started")


class LocalAws:
    """The local AWS as a context manager, or with `start` and `stop`.

    Args:
        state_dir: Scratch folder; created if needed. A later start reads nothing from it.
        port: Port on 127.0.0.1; 0 takes a free one, see `endpoint_url`.
        region: The default region.
    """

    def __init__(self, state_dir: Path, *, port: int = 0, region: str = "us-east-1") -> None:
        state_dir.mkdir(parents=True, exist_ok=True)
        self._parts: dict[str, Any] = {}
        self._server = ThreadedWSGIServer("127.0.0.1", port, _not_started, KeepAliveHandler)
        # Threads of connections that clients keep open must not outlive `stop`.
        self._server.daemon_threads = True
        self.context = Context(
            endpoint_url=f"http://127.0.0.1:{self._server.server_port}",
            region=region,
            state_dir=state_dir.resolve(),
        )
        key = make_administrator_key(self.context.account_id, self.context.state_dir)
        self._access = Access(self.context, key)
        self._server.app = Dispatcher(
            Gate(self._access), moto_adapter.create_wsgi_app(), self._parts
        )
        # `stop` may have to wait for the polling interval, in seconds.
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="local-aws", daemon=True
        )

    @property
    def endpoint_url(self) -> str:
        """The URL of all services, e.g. "http://127.0.0.1:4566"."""
        return self.context.endpoint_url

    def start(self) -> Self:
        """Starts answering requests, in threads of this process."""
        self._parts.update(_create_parts(self.context, self._access))
        self._thread.start()
        return self

    def stop(self) -> None:
        """Ends the server and all processes that its parts started."""
        self._server.shutdown()
        for part in reversed(list(self._parts.values())):
            part.close()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
