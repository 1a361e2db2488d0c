"""What runs inside an endpoint's container: a stand-in for AWS's Hugging Face image.

That image runs multi-model-server with the Hugging Face inference toolkit. This file is run by
itself, with the container's environment only, and does as they do wherever a model's code or
its caller can tell:

- loads <model dir>/code/$SAGEMAKER_PROGRAM with its folder importable, calls `model_fn(dir)`,
  then `transform_fn(model, data, content_type, accept)` for one request at a time;
- `data` is str for the content types application/json and text/csv written exactly so, else a
  bytearray; without a content type it is a bytearray and `content_type` is None;
- `accept` is application/json when absent or */*, else as sent, and it becomes the content
  type of the answer;
- an error in the model's code is a 400, {"code", "type", "message"}; /ping says 200 even when
  `model_fn` raised, and every request then gets that error;
- requests over 6,553,500 bytes get 413 and answers over it 500, unless
  SAGEMAKER_MAX_PAYLOAD_IN_MB, MMS_MAX_REQUEST_SIZE or MMS_MAX_RESPONSE_SIZE say otherwise;
- the model runs in a worker below the server: a worker that exits, or kills its parent, ends
  the server.

Knowingly otherwise: /ping is answered only after `model_fn` has ended (SageMaker takes minutes
before it asks; here nothing else waits for the load), there is one worker whatever
SAGEMAKER_MODEL_SERVER_WORKERS says, and an answer that is too large does not restart it.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

_DEFAULT_LIMIT = 6_553_500
_QUEUE = 100
_TEXT_TYPES = {"application/json", "text/csv"}


def _limit(name: str) -> int:
    megabytes = os.environ.get("SAGEMAKER_MAX_PAYLOAD_IN_MB")
    if name == "MMS_MAX_REQUEST_SIZE" and megabytes:
        return int(megabytes) * 1024 * 1024
    return int(os.environ.get(name, _DEFAULT_LIMIT))


class Worker:
    """The model, used by one request at a time."""

    def __init__(self, model_dir: Path) -> None:
        self._lock = threading.Lock()
        self._places = threading.BoundedSemaphore(_QUEUE + 1)
        self._failure: Exception | None = None
        self._model: Any = None
        self._transform: Callable[..., Any] = lambda *_: None
        try:
            module = _load_program(model_dir / "code")
            self._transform = module.transform_fn
            self._model = module.model_fn(str(model_dir))
        except Exception as error:
            traceback.print_exc()
            self._failure = error

    def handle(self, body: bytes, content_type: str | None, accept: str) -> tuple[int, bytes]:
        """Status and body of the answer to one request."""
        if not self._places.acquire(blocking=False):
            return 503, _error(503, "ServiceUnavailableException", "No worker is available.")
        try:
            with self._lock:
                if self._failure is not None:
                    raise self._failure
                data = body.decode() if content_type in _TEXT_TYPES else bytearray(body)
                answer = self._transform(self._model, data, content_type, accept)
        except Exception as error:
            traceback.print_exc()
            return 400, _error(400, "InternalServerException", str(error))
        except SystemExit as exit_request:
            # In a thread it would only end the thread; in a worker of the real one, the worker.
            os._exit(exit_request.code if isinstance(exit_request.code, int) else 1)
        finally:
            self._places.release()
        return 200, _to_bytes(answer)


def _load_program(code_dir: Path) -> ModuleType:
    sys.path.insert(0, str(code_dir))
    name = os.environ.get("SAGEMAKER_PROGRAM", "inference.py")
    spec = importlib.util.spec_from_file_location(Path(name).stem, code_dir / name)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(f"no module at code/{name}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def _error(code: int, kind: str, message: str) -> bytes:
    return json.dumps({"code": code, "type": kind, "message": message}, indent=2).encode()


def _to_bytes(answer: object) -> bytes:
    if isinstance(answer, bytes | bytearray):
        return bytes(answer)
    return (answer if isinstance(answer, str) else json.dumps(answer)).encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Server

    def do_GET(self) -> None:
        """/ping."""
        if self.path == "/ping":
            self._answer(200, b'{\n  "status": "Healthy"\n}\n')
        else:
            self._answer(404, _error(404, "ResourceNotFoundException", "No such path."))

    def do_POST(self) -> None:
        """/invocations."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path != "/invocations":
            self._answer(404, _error(404, "ResourceNotFoundException", "No such path."))
            return
        if len(body) > self.server.request_limit:
            self._answer(413, b"")
            return
        accept = self.headers.get("Accept") or "*/*"
        accept = "application/json" if accept == "*/*" else accept
        status, answer = self.server.worker.handle(body, self.headers.get("Content-Type"), accept)
        if len(answer) > self.server.response_limit:
            status, answer = 500, _error(500, "InternalServerException", "Worker died.")
        self._answer(status, answer, accept if status == 200 else "application/json")

    def _answer(self, status: int, body: bytes, content_type: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Says nothing: the log is the model's."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, listener: socket.socket, worker: Worker) -> None:
        super().__init__(("127.0.0.1", 0), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.worker = worker
        self.request_limit = _limit("MMS_MAX_REQUEST_SIZE")
        self.response_limit = _limit("MMS_MAX_RESPONSE_SIZE")


def _supervise(worker: int) -> None:
    """The part of the server above the worker: ends with it, and it with the server."""

    def end(_signal: int, _frame: FrameType | None) -> None:
        os.kill(worker, signal.SIGKILL)
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    _, status = os.waitpid(worker, 0)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)


def main() -> None:
    """Serves on the listening socket whose descriptor is the only argument."""
    worker = os.fork()
    if worker:
        # Nobody may connect any more from the moment the worker is gone.
        os.close(int(sys.argv[1]))
        _supervise(worker)
    # As the real server's worker does, so that what the model logs is in the endpoint's log.
    logging.basicConfig(stream=sys.stdout, format="%(message)s", level=logging.INFO)
    listener = socket.socket(fileno=int(sys.argv[1]))
    model_dir = Path(os.environ["SAGEMAKER_BASE_DIR"]) / "model"
    _Server(listener, Worker(model_dir)).serve_forever()


if __name__ == "__main__":
    main()
