"""The local AWS: one process, one port, every service."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from werkzeug.serving import ThreadedWSGIServer

from local_aws import moto_adapter
from local_aws.api_gateway import RestApis
from local_aws.cloudformation import CloudFormation
from local_aws.context import Context
from local_aws.events import ObjectEvents
from local_aws.http_handler import KeepAliveHandler
from local_aws.lambda_runtime import LambdaRuntime
from local_aws.sagemaker import SageMaker
from local_aws.service_errors import API_PATH, error_response, signed_service
from local_aws.state_machines import StateMachines

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_INVOCATION = re.compile(r"/endpoints/[^/]+/(invocations|async-invocations)")
_OWN_NAMES = ("127.0.0.1", "localhost")


def refusal(environ: WSGIEnvironment) -> str | None:
    """Why a web page must have sent this request; None when an AWS client may have.

    Signatures are not checked, so without this any page open in a browser on this machine could
    deploy code: by posting to the known port, or by pointing its own domain at 127.0.0.1 (DNS
    rebinding), which leaves that domain in `Host`. Browsers add `Origin` and `Sec-Fetch-Site`,
    which no page can remove. Whether pages may call a deployed API is for the API to decide.
    """
    name, _, port = environ.get("HTTP_HOST", "").lower().partition(":")
    own_port = environ["SERVER_PORT"]
    if name not in _OWN_NAMES or (port or "80") != own_port:
        return f"The local AWS answers at 127.0.0.1:{own_port} and localhost:{own_port} only."
    if environ.get("PATH_INFO", "").startswith(API_PATH):
        return None
    if "HTTP_ORIGIN" in environ or environ.get("HTTP_SEC_FETCH_SITE") in {
        "cross-site",
        "same-site",
    }:
        return "The local AWS takes no requests from web pages, except to deployed APIs."
    return None


def _no_events(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    # The CDK CLI looks into CloudTrail to explain a failure; there is no trail here.
    del environ
    start_response("200 OK", [("Content-Type", "application/x-amz-json-1.1")])
    return [json.dumps({"Events": []}).encode()]


class Dispatcher:
    """Hands each request to the part that answers it, and to moto what no part claims.

    Refuses what a web page sent (`refusal`).

    Args:
        fallback: Answers what no part claims.
        parts: "cloudformation", "sagemaker" and "rest_apis"; an absent one is left to
            `fallback`.
    """

    def __init__(self, fallback: WSGIApplication, parts: dict[str, WSGIApplication]) -> None:
        self._fallback = fallback
        self._parts = parts

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if reason := refusal(environ):
            response = error_response(environ, 403, "AccessDenied", reason)
            return response(environ, start_response)
        return self._choose(environ)(environ, start_response)

    def _choose(self, environ: WSGIEnvironment) -> WSGIApplication:
        path: str = environ.get("PATH_INFO", "")
        target: str = environ.get("HTTP_X_AMZ_TARGET", "")
        name = ""
        # First: whatever a caller of an API sends, it is for that API.
        if path.startswith(API_PATH):
            name = "rest_apis"
        elif signed_service(environ) == "cloudformation" or path.startswith("/cloudformation/"):
            name = "cloudformation"
        elif target.startswith("SageMaker.") or _INVOCATION.match(path):
            name = "sagemaker"
        elif "CloudTrail" in target:
            return _no_events
        return self._parts.get(name, self._fallback)


def _create_parts(context: Context) -> dict[str, Any]:
    # The Lambda runtime, the state machines and the events answer no requests of their own: they
    # run behind moto's services.
    lambda_runtime = LambdaRuntime(context)
    return {
        "lambda_runtime": lambda_runtime,
        "sagemaker": SageMaker(context),
        "rest_apis": RestApis(context, lambda_runtime),
        "state_machines": StateMachines(context),
        "object_events": ObjectEvents(context),
        "cloudformation": CloudFormation(context),
    }


class LocalAws:
    """The local AWS as a context manager; `start` and `stop` do the same by hand.

    Args:
        state_dir: Scratch folder; made when absent. Nothing in it is read at a later start.
        port: Port on 127.0.0.1; 0 takes a free one, told by `endpoint_url`.
        region: Region of whatever does not name one.
    """

    def __init__(self, state_dir: Path, *, port: int = 0, region: str = "us-east-1") -> None:
        state_dir.mkdir(parents=True, exist_ok=True)
        self._parts: dict[str, Any] = {}
        self._server = ThreadedWSGIServer(
            "127.0.0.1",
            port,
            Dispatcher(moto_adapter.create_wsgi_app(), self._parts),
            KeepAliveHandler,
        )
        # Threads of connections that clients keep open must not outlive `stop`.
        self._server.daemon_threads = True
        self.context = Context(
            endpoint_url=f"http://127.0.0.1:{self._server.server_port}",
            region=region,
            state_dir=state_dir.resolve(),
        )
        # How long `stop` may have to wait, in seconds.
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.05,), name="local-aws", daemon=True
        )

    @property
    def endpoint_url(self) -> str:
        """Where every service answers, e.g. "http://127.0.0.1:4566"."""
        return self.context.endpoint_url

    def start(self) -> Self:
        """Answers requests from now on, in threads of this process."""
        self._parts.update(_create_parts(self.context))
        self._thread.start()
        return self

    def stop(self) -> None:
        """Ends the server and every process its parts began."""
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
