"""The process in an endpoint's container: a stand-in for AWS's Hugging Face image.

That image runs multi-model-server with the Hugging Face inference toolkit. This file runs on its
own, with the container's environment only, and behaves like them as far as a model's code or its
caller can tell:

- It starts a Python process with <model dir>/code on its path (so that a `sitecustomize` there
  runs), and answers /ping with 200 as soon as that process has started, whatever the model does.
  After a minute it goes on without a model: every request gets a 400.
- It loads <model dir>/code/$SAGEMAKER_PROGRAM with its folder importable, calls `model_fn(dir)`,
  then `transform_fn(model, data, content_type, accept)` for one request at a time.
- It does so in $SAGEMAKER_MODEL_SERVER_WORKERS processes, all forked by the one that it started.
  With MMS_PRELOAD_MODEL=true that process calls `model_fn` once, before forking; if not, each
  worker calls it. OMP_NUM_THREADS is 1 by default.
- A worker that takes longer than $SAGEMAKER_MODEL_SERVER_TIMEOUT_SECONDS to load, or to answer, is
  given up, though it runs on, and another one started: at once, then after 1, 1, 2, 3, 5 ... s.
- Requests wait for any free worker, as many as $MMS_JOB_QUEUE_SIZE (100); one more gets 503. They
  keep their place when their caller has gone.
- `data` is a str for exactly the content types application/json and text/csv, else a bytearray.
  Without a content type it is a bytearray and `content_type` is None.
- `accept` is application/json if absent or */*, else as sent, and becomes the answer's content
  type.
- An error in the model's code is a 400 with {"code", "type", "message"}. If `model_fn` raised,
  every request gets that error.
- Requests over 6,553,500 bytes get 413 and answers over it become 500, unless
  SAGEMAKER_MAX_PAYLOAD_IN_MB, MMS_MAX_REQUEST_SIZE or MMS_MAX_RESPONSE_SIZE is set.
- A worker that is killed answers its request with 500 and is replaced.

Known differences:

- A worker that exits by itself, is killed before it has loaded, or kills its parent ends the
  server. A model's code that wants the real server ended kills its Java process; there is none.
- Without SAGEMAKER_MODEL_SERVER_WORKERS there is one worker, not one for each processor.
- An answer that is too large does not restart its worker.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType

_WORKERS = Path(__file__).with_name("model_service_worker.py")
_DEFAULT_LIMIT = 6_553_500
_START_SECONDS = 60.0
_BACK_OFF_SECONDS = (0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55)


def _limit(name: str) -> int:
    megabytes = os.environ.get("SAGEMAKER_MAX_PAYLOAD_IN_MB")
    if name == "MMS_MAX_REQUEST_SIZE" and megabytes:
        return int(megabytes) * 1024 * 1024
    return int(os.environ.get(name, _DEFAULT_LIMIT))


def _error(code: int, kind: str, message: str) -> bytes:
    return json.dumps({"code": code, "type": kind, "message": message}, indent=2).encode()


class Worker:
    """The server's side of one worker; `gone` is set once it was killed."""

    def __init__(self, number: int, connection: Connection) -> None:
        self.number = number
        self.loaded = False
        self.gone = threading.Event()
        self._connection = connection

    def await_load(self, seconds: float) -> None:
        """Returns once it has loaded; TimeoutError if it is late, EOFError or OSError if gone."""
        self._receive(seconds)
        self.loaded = True

    def ask(
        self, body: bytes, content_type: str | None, accept: str, seconds: float
    ) -> tuple[int, bytes]:
        """Status and body of the answer; errors as of `await_load`."""
        self._connection.send_bytes(json.dumps([content_type, accept]).encode())
        self._connection.send_bytes(body)
        return int(self._receive(seconds)), self._connection.recv_bytes()

    def leave(self) -> None:
        """Lets it end as soon as it notices."""
        self._connection.close()

    def _receive(self, seconds: float) -> bytes:
        if not self._connection.poll(seconds):
            raise TimeoutError
        return self._connection.recv_bytes()


class Workers:
    """The workers, and the requests that wait for one.

    Args:
        control: To the process that forks them; see `model_service_worker.Parent`.
        seconds: How long a worker may take to load, or to answer.
        places: How many requests may wait.
    """

    def __init__(self, control: socket.socket, seconds: float, places: int) -> None:
        self._control = control
        self._seconds = seconds
        self._places = threading.BoundedSemaphore(places)
        self._free: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._numbers = itertools.cycle(range(256))
        self._all: dict[int, Worker] = {}
        self._parent_started = threading.Event()
        self._without_model = False

    def start(self, count: int) -> None:
        """Returns once the process that forks has started, or has taken too long."""
        if self._parent_started.wait(_START_SECONDS):
            for _ in range(count):
                self._add()
        else:
            self._without_model = True

    def watch(self) -> None:
        """Replaces workers that are killed; returns when one ends in another way."""
        if self._control.recv(1):
            self._parent_started.set()
            while number := self._control.recv(1):
                lost = self._forget(number[0])
                if lost is not None:
                    if not lost.loaded:
                        return
                    self._add()
                    lost.gone.set()

    def handle(self, body: bytes, content_type: str | None, accept: str) -> tuple[int, bytes]:
        """Status and body of the answer to one request."""
        if self._without_model:
            return 400, _error(400, "BadRequestException", "Parameter model_name is required.")
        worker = self._take()
        if worker is None:
            return 503, _error(503, "ServiceUnavailableException", "No worker is available.")
        try:
            answer = worker.ask(body, content_type, accept, self._seconds)
        except TimeoutError:
            self._give_up(worker)
            self._add()
        except (EOFError, OSError):
            # Unless it was killed, this process is about to end.
            worker.gone.wait()
        else:
            self._free.put(worker)
            return answer
        return 500, _error(500, "InternalServerException", "Worker died.")

    def _take(self) -> Worker | None:
        """A free worker; None if too many wait for one."""
        while not self._free.empty():
            with contextlib.suppress(queue.Empty):
                worker = self._free.get_nowait()
                if not worker.gone.is_set():
                    return worker
        if not self._places.acquire(blocking=False):
            return None
        try:
            while (worker := self._free.get()).gone.is_set():
                pass
            return worker
        finally:
            self._places.release()

    def _add(self) -> None:
        threading.Thread(target=self._load, daemon=True).start()

    def _load(self) -> None:
        """Starts a worker, and others in its place while they take too long to load."""
        for pause in _BACK_OFF_SECONDS:
            worker = self._start()
            try:
                worker.await_load(self._seconds)
            except TimeoutError:
                self._give_up(worker)
                time.sleep(pause)
            except (EOFError, OSError):
                return
            else:
                self._free.put(worker)
                return

    def _start(self) -> Worker:
        ours, theirs = socket.socketpair()
        with self._lock, theirs:
            worker = Worker(next(self._numbers), Connection(ours.detach()))
            self._all[worker.number] = worker
            socket.send_fds(self._control, [bytes([worker.number])], [theirs.fileno()])
        return worker

    def _give_up(self, worker: Worker) -> None:
        self._forget(worker.number)
        worker.leave()

    def _forget(self, number: int) -> Worker | None:
        with self._lock:
            return self._all.pop(number, None)


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
        status, answer = self.server.workers.handle(body, self.headers.get("Content-Type"), accept)
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
        """Logs nothing: the log is for the model."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, listener: socket.socket, workers: Workers) -> None:
        super().__init__(("127.0.0.1", 0), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.workers = workers
        self.request_limit = _limit("MMS_MAX_REQUEST_SIZE")
        self.response_limit = _limit("MMS_MAX_RESPONSE_SIZE")

    def serve(self, count: int) -> None:
        """Starts so many workers and serves."""
        self.workers.start(count)
        self.serve_forever()


def _seconds() -> float:
    """How long a worker may take. Without a number of seconds the toolkit sets one of minutes."""
    seconds = os.environ.get("SAGEMAKER_MODEL_SERVER_TIMEOUT_SECONDS")
    return float(seconds or 60 * int(os.environ.get("SAGEMAKER_MODEL_SERVER_TIMEOUT", "60")))


def _python_path() -> str:
    """What the toolkit and the server put on the path of the process that forks workers."""
    model_dir = Path(os.environ["SAGEMAKER_BASE_DIR"]) / "model"
    given = os.environ.get("PYTHONPATH")
    return os.pathsep.join([f"{model_dir / 'code'}", *([given] if given else []), f"{model_dir}"])


def main() -> None:
    """Serves on the listening socket whose descriptor is the only argument."""
    listener = socket.socket(fileno=int(sys.argv[1]))
    ours, theirs = socket.socketpair()
    with theirs:
        parent = subprocess.Popen(
            [sys.executable, "-P", str(_WORKERS), str(theirs.fileno())],
            env={"OMP_NUM_THREADS": "1", **os.environ, "PYTHONPATH": _python_path()},
            pass_fds=[theirs.fileno()],
        )

    def end(_signal: int, _frame: FrameType | None) -> None:
        parent.kill()
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    # A broken connection means that the processes below have ended.
    with contextlib.suppress(ConnectionError):
        workers = Workers(ours, _seconds(), int(os.environ.get("MMS_JOB_QUEUE_SIZE", "100")))
        count = int(os.environ.get("SAGEMAKER_MODEL_SERVER_WORKERS") or 1)
        server = _Server(listener, workers)
        threading.Thread(target=server.serve, args=(count,), daemon=True).start()
        workers.watch()
    # From the moment a worker is gone, nobody may connect.
    listener.close()
    parent.kill()
    os._exit(parent.wait() & 0xFF)


if __name__ == "__main__":
    main()
