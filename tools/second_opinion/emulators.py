"""Both emulators: this project's local AWS, and MiniStack with its SageMaker beside it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import ClientError
from werkzeug.serving import ThreadedWSGIServer
from werkzeug.wrappers import Request, Response

from commands.errors import CommandError
from commands.local_state import ROOT
from local_aws.cloudformation.resources import base
from local_aws.cloudformation.resources.sagemaker import PROVIDERS
from local_aws.context import Context
from local_aws.http_handler import KeepAliveHandler
from local_aws.iam.access import Access
from local_aws.iam.principals import Principal, administrator, make_administrator_key
from local_aws.sagemaker import SageMaker
from local_aws.server import LocalAws

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

PYTHON = ROOT / ".venv-second-opinion/bin/python"
_START_SECONDS = 30


@dataclass(frozen=True)
class Emulator:
    """A running one.

    Args:
        api_path: Of a deployed API, with `api` and `stage` to fill in.
    """

    name: str
    context: Context
    api_path: str


@contextmanager
def local_aws(folder: Path, region: str) -> Iterator[Emulator]:
    """This project's."""
    with LocalAws(folder, region=region) as aws:
        yield Emulator("the local AWS", aws.context, "/execute-api/{api}/{stage}")


@contextmanager
def ministack(folder: Path, region: str) -> Iterator[Emulator]:
    """MiniStack; its log is in `folder`.

    Raises:
        CommandError: It does not start.
    """
    folder.mkdir(parents=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = Context(f"http://127.0.0.1:{port}", region, folder)
    key = make_administrator_key(context.account_id, folder)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
    environment |= {
        **key.environment,
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "MINISTACK_ACCOUNT_ID": context.account_id,
        "MINISTACK_REGION": region,
        "TMPDIR": str(folder),
    }
    with _sagemaker(context) as url, (folder / "ministack.log").open("wb") as log:
        launcher = Path(__file__).with_name("launcher.py")
        process = subprocess.Popen(
            [str(PYTHON), "-P", str(launcher), url],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # with the processes of its functions
        )
        try:
            _await(process, f"{context.endpoint_url}/_ministack/health", Path(log.name))
            yield Emulator("MiniStack", context, "/restapis/{api}/{stage}/_user_request_")
        finally:
            with suppress(ProcessLookupError):  # it has ended by itself
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _await(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()  # noqa: S310  our own URL
        except OSError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise CommandError(f"MiniStack does not start; see {log}") from error
            time.sleep(0.1)
        else:
            return


class _Open:
    """Lets everything through: the policies are in MiniStack."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def assume(self, _role: str, _service: str, _session: str) -> Principal:
        return administrator(self._context.account_id)

    def client(self, _principal: Principal, service: str) -> Any:
        return self._context.client(service)

    def require(self, *_: object, **__: object) -> None:
        return

    def key_arn(self, key: str) -> str:
        return key


@contextmanager
def _sagemaker(context: Context) -> Iterator[str]:
    """The local AWS's SageMaker, which keeps artifacts and results in `context`; gives its URL."""
    service = SageMaker(context, cast(Access, _Open(context)))

    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = Request(environ)
        if not request.path.startswith("/resource/"):
            return service(environ, start_response)
        asked = json.loads(request.get_data())
        return _provide(context, request.path, asked)(environ, start_response)

    server = ThreadedWSGIServer("127.0.0.1", 0, answer, KeepAliveHandler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        service.close()
        server.server_close()


def _provide(context: Context, path: str, asked: dict[str, Any]) -> Response:
    """Creates or deletes a resource as the local AWS's CloudFormation does."""
    provider = PROVIDERS[asked["type"]]
    named = {"stack_name": "", "logical_id": "", "token": "second", **asked}
    request = base.Request(context, context.region, "", **named)
    try:
        if path.endswith("delete"):
            provider.delete(request)
            return Response("{}")
        made = provider.create(request)
    except (base.ResourceError, ClientError) as error:
        return Response(json.dumps({"reason": str(error)}), 400)
    return Response(json.dumps({"physical_id": made.physical_id, "attributes": made.attributes}))
