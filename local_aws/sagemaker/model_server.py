"""The process in an endpoint's container: a stand-in for AWS's Hugging Face image.

That image runs multi-model-server with the Hugging Face inference toolkit. This file runs on its
own, with the container's environment only, and behaves like them as far as a model's code or its
caller can tell:

- It loads <model dir>/code/$SAGEMAKER_PROGRAM with its folder importable, calls `model_fn(dir)`,
  then `transform_fn(model, data, content_type, accept)` for one request at a time.
- It does so in $SAGEMAKER_MODEL_SERVER_WORKERS processes, all forked by one process below the
  server. With MMS_PRELOAD_MODEL=true that process calls `model_fn` once, before forking; if not,
  each worker calls it. OMP_NUM_THREADS is 1 by default.
- Requests wait for any free worker. 100 may wait; one more gets 503.
- `data` is a str for exactly the content types application/json and text/csv, else a bytearray.
  Without a content type it is a bytearray and `content_type` is None.
- `accept` is application/json if absent or */*, else as sent, and becomes the answer's content
  type.
- An error in the model's code is a 400 with {"code", "type", "message"}. /ping answers 200 even if
  `model_fn` raised; every request then gets that error.
- Requests over 6,553,500 bytes get 413 and answers over it become 500, unless
  SAGEMAKER_MAX_PAYLOAD_IN_MB, MMS_MAX_REQUEST_SIZE or MMS_MAX_RESPONSE_SIZE is set.
- A worker that is killed answers its request with 500 and is replaced.

Known differences:

- /ping is answered only after every `model_fn` has ended. (SageMaker waits minutes before it asks;
  here nothing else waits for the load.)
- A worker that exits by itself, is killed before it has loaded, or kills its parent ends the
  server. A model's code that wants the real server ended kills its Java process; there is none.
- Without SAGEMAKER_MODEL_SERVER_WORKERS there is one worker, not one for each processor.
- An answer that is too large does not restart its worker.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType

_WORKERS = Path(__file__).with_name("model_workers.py")
_DEFAULT_LIMIT = 6_553_500
_QUEUE = 100


def _limit(name: str) -> int:
    megabytes = os.environ.get("SAGEMAKER_MAX_PAYLOAD_IN_MB")
    if name == "MMS_MAX_REQUEST_SIZE" and megabytes:
        return int(megabytes) * 1024 * 1024
    return int(os.environ.get(name, _DEFAULT_LIMIT))


def _error(code: int, kind: str, message: str) -> bytes:
    return json.dumps({"code": code, "type": kind, "message": message}, indent=2).encode()


class Worker:
    """The server's side of one worker; `gone` is set once it was killed."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.loaded = False
        self.gone = threading.Event()

    def await_load(self) -> None:
        """Returns once it has loaded; EOFError or OSError if it is gone."""
        self._connection.recv_bytes()
        self.loaded = True

    def ask(self, body: bytes, content_type: str | None, accept: str) -> tuple[int, bytes]:
        """Status and body of the answer; EOFError or OSError if it is gone."""
        self._connection.send_bytes(json.dumps([content_type, accept]).encode())
        self._connection.send_bytes(body)
        return int(self._connection.recv_bytes()), self._connection.recv_bytes()


class Workers:
    """The workers, and the requests that wait for one.

    Args:
        control: To the process that forks them; see `model_workers.Parent`.
    """

    def __init__(self, control: socket.socket, count: int) -> None:
        self._control = control
        self._places = threading.BoundedSemaphore(_QUEUE + count)
        self._free: queue.SimpleQueue[Worker] = queue.SimpleQueue()
        self._all = [self._start(number) for number in range(count)]

    def await_load(self) -> bool:
        """Waits until all have loaded (True) or one has ended (False)."""
        return all(self._admit(worker) for worker in self._all)

    def watch(self) -> None:
        """Replaces workers that are killed; returns when one ends in another way."""
        while number := self._control.recv(1):
            lost = self._all[number[0]]
            if not lost.loaded:
                return
            self._all[number[0]] = successor = self._start(number[0])
            lost.gone.set()
            threading.Thread(target=self._admit, args=(successor,), daemon=True).start()

    def handle(self, body: bytes, content_type: str | None, accept: str) -> tuple[int, bytes]:
        """Status and body of the answer to one request."""
        if not self._places.acquire(blocking=False):
            return 503, _error(503, "ServiceUnavailableException", "No worker is available.")
        try:
            worker = self._free.get()
            while worker.gone.is_set():
                worker = self._free.get()
            try:
                answer = worker.ask(body, content_type, accept)
            except (EOFError, OSError):
                # Unless it was killed, this process is about to end.
                worker.gone.wait()
                return 500, _error(500, "InternalServerException", "Worker died.")
            self._free.put(worker)
            return answer
        finally:
            self._places.release()

    def _start(self, number: int) -> Worker:
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._control, [bytes([number])], [theirs.fileno()])
        return Worker(Connection(ours.detach()))

    def _admit(self, worker: Worker) -> bool:
        try:
            worker.await_load()
        except (EOFError, OSError):
            return False
        self._free.put(worker)
        return True


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

    def serve(self) -> None:
        """Serves once the models have loaded."""
        if self.workers.await_load():
            self.serve_forever()


def main() -> None:
    """Serves on the listening socket whose descriptor is the only argument."""
    listener = socket.socket(fileno=int(sys.argv[1]))
    ours, theirs = socket.socketpair()
    with theirs:
        parent = subprocess.Popen(
            [sys.executable, "-P", str(_WORKERS), str(theirs.fileno())],
            env={"OMP_NUM_THREADS": "1", **os.environ},
            pass_fds=[theirs.fileno()],
        )

    def end(_signal: int, _frame: FrameType | None) -> None:
        parent.kill()
        os._exit(0)

    signal.signal(signal.SIGTERM, end)
    # A broken connection means that the processes below have ended.
    with contextlib.suppress(ConnectionError):
        workers = Workers(ours, int(os.environ.get("SAGEMAKER_MODEL_SERVER_WORKERS") or 1))
        server = _Server(listener, workers)
        threading.Thread(target=server.serve, daemon=True).start()
        workers.watch()
    # From the moment a worker is gone, nobody may connect.
    listener.close()
    parent.kill()
    os._exit(parent.wait() & 0xFF)


if __name__ == "__main__":
    main()
