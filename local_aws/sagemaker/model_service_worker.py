"""The processes that run a model's code for the stand-in for the model server.

model_server.py runs this file, with the container's environment only, and describes it. The name
is that of the real server's own file, by which code that runs while Python starts can know it.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import ForkContext, ForkProcess
from pathlib import Path
from types import ModuleType
from typing import Any

_FORKING = ForkContext()
_TEXT_TYPES = {"application/json", "text/csv"}


class Model:
    """The model's code and the result of `model_fn`, or the error it raised."""

    def __init__(self, model_dir: Path) -> None:
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

    def serve(self, connection: Connection) -> None:
        """Answers requests one after the other until the server is gone."""
        while True:
            try:
                content_type, accept = json.loads(connection.recv_bytes())
                body = connection.recv_bytes()
            except (EOFError, ConnectionError):
                return
            status, answer = self._answer(body, content_type, accept)
            connection.send_bytes(str(status).encode())
            connection.send_bytes(answer)

    def _answer(
        self, body: bytes, content_type: str | None, accept: str
    ) -> tuple[int, bytes | bytearray]:
        try:
            if self._failure is not None:
                raise self._failure
            data = body.decode() if content_type in _TEXT_TYPES else bytearray(body)
            return 200, _to_bytes(self._transform(self._model, data, content_type, accept))
        except Exception as error:
            traceback.print_exc()
            answer = {"code": 400, "type": "InternalServerException", "message": str(error)}
            return 400, json.dumps(answer, indent=2).encode()


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


def _to_bytes(answer: object) -> bytes | bytearray:
    if isinstance(answer, bytes | bytearray):
        return answer
    return (answer if isinstance(answer, str) else json.dumps(answer)).encode()


class Parent:
    """Forks the workers. It has one thread, because forking needs that.

    Args:
        control: To the server, which sends a number and one end of a pair of sockets for each
            worker that it wants. It gets one byte at the start, and then the number of each worker
            that was killed.
        model_dir: The unpacked artifact.
        preload: Whether the model is loaded before the workers are forked.
    """

    def __init__(self, control: socket.socket, model_dir: Path, *, preload: bool) -> None:
        self._control = control
        self._model_dir = model_dir
        control.sendall(b"!")
        self._preloaded = Model(model_dir) if preload else None
        self._workers: dict[int, ForkProcess] = {}

    def run(self) -> None:
        """Forks workers on request until the server is gone."""
        # A signal makes `ended` readable: a worker may have ended.
        ended, written = socket.socketpair()
        written.setblocking(False)
        signal.set_wakeup_fd(written.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        while True:
            ready, _, _ = select.select([self._control, ended], [], [])
            if ended in ready:
                ended.recv(4096)
                self._reap()
            if self._control in ready:
                number, descriptors, _, _ = socket.recv_fds(self._control, 1, 1)
                if not number:
                    return
                self._fork(number[0], descriptors[0])

    def _fork(self, number: int, descriptor: int) -> None:
        with Connection(descriptor) as connection:
            process = _FORKING.Process(target=self._work, args=(connection,))
            process.start()
        self._workers[number] = process

    def _work(self, connection: Connection) -> None:
        """Runs in the worker: loads the model and serves."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._control.close()
        model = self._preloaded or Model(self._model_dir)
        with contextlib.suppress(ConnectionError):
            connection.send_bytes(b"ready")
            model.serve(connection)
        # The server has given it up. To exit would mean something else.
        os.kill(os.getpid(), signal.SIGKILL)

    def _reap(self) -> None:
        """Reports workers that were killed; exits like a worker that exited."""
        # Only the workers: the model may have started processes and wait for their end.
        for number, process in list(self._workers.items()):
            status = process.exitcode
            if status is not None and status >= 0:
                os._exit(status)
            if status is not None:
                del self._workers[number]
                self._control.sendall(bytes([number]))


def main() -> None:
    """Takes requests from the socket whose descriptor is the only argument."""
    # As in the real server's workers, so that the model's log lines get into the endpoint's log.
    logging.basicConfig(stream=sys.stdout, format="%(message)s", level=logging.INFO)
    Parent(
        socket.socket(fileno=int(sys.argv[1])),
        Path(os.environ["SAGEMAKER_BASE_DIR"]) / "model",
        preload=os.environ.get("MMS_PRELOAD_MODEL", "").lower() == "true",
    ).run()


if __name__ == "__main__":
    main()
