"""The process that holds the model for all of a server's workers.

multi-model-server gives a Python worker one request at a time, so what arrives together cannot be
encoded together in a worker. Here it can: workers send token ids, and texts of several requests
share a batch (``encoder_rounds``).

No request is held back for others that may come. What arrives while a batch is encoded is the next
batch, so batches grow with the load by themselves: with eight workers busy, patience of 1, 2 or 4
ms saved the encoder a tenth of its time a request and raised no throughput, while somebody who is
alone would wait for nothing.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import selectors
import socket
import sys
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from container.artifact import read_manifest
from container.encoder.base import Encoder
from container.encoder.load import broken_artifact, load_encoder
from container.encoder.rounds import EncodeRequest, Rounds
from container.encoder.wire import receive_request, send_failure, send_hello, send_vectors
from container.errors import LoadError
from container.serving.inference import model_server

log = logging.getLogger(__name__)

# How long the process waits for the first worker, and for another when there is none any more.
FIRST_SECONDS = 30.0
LONELY_SECONDS = 1.0
# How often it looks whether the server is still there.
LOOK_SECONDS = 0.5
BACKLOG = 128


def main(model_dir: Path, address: str) -> int:
    """Serves the model in ``model_dir`` at the socket ``address`` until no worker is left.

    Says on standard output, as one JSON object, that it is ready, or why it failed; then that is
    closed. Returns the exit status.
    """
    # Whatever a library prints belongs into the log.
    report = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    logging.basicConfig(stream=sys.stderr, format="%(message)s", level=logging.INFO)
    server = model_server()
    with report:
        try:
            started = time.monotonic()
            with broken_artifact():
                encoder = load_encoder(model_dir, read_manifest(model_dir))
            listener = _listen(address)
        except Exception as fault:
            words = (
                str(fault) if isinstance(fault, LoadError) else f"{type(fault).__name__}: {fault}"
            )
            json.dump({"failed": words}, report)
            return 1
        log.info("Encoder process ready in %.1f s", time.monotonic() - started)
        json.dump({"ready": True}, report)
    try:
        EncoderServer(encoder, listener, server).run()
    finally:
        Path(address).unlink(missing_ok=True)
    return 0


def _listen(address: str) -> socket.socket:
    # One that was killed leaves its socket behind.
    Path(address).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(BACKLOG)
    return listener


class EncoderServer:
    """Receives requests, encodes round after round, and answers each as soon as it is finished.

    It ends when the multi-model-server ``server`` (its process id, where there is one) has ended,
    or when nobody has been connected for a while.
    """

    def __init__(self, encoder: Encoder, listener: socket.socket, server: int | None) -> None:
        self._encoder = encoder
        self._listener = listener
        self._server = server
        self._rounds = Rounds(encoder)
        self._asked: dict[EncodeRequest, Connection] = {}
        self._connections: set[Connection] = set()
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ)
        self._looked = time.monotonic()
        self._company_until = self._looked + FIRST_SECONDS

    def run(self) -> None:
        """Serves until there is nobody left to serve."""
        while self._wanted():
            self._receive(0 if self._rounds else LOOK_SECONDS)
            if self._rounds:
                for request in self._rounds.encode_next():
                    self._answer(request)
        for connection in self._connections:
            connection.close()

    def _wanted(self) -> bool:
        now = time.monotonic()
        if self._connections:
            self._company_until = now
        if now - self._looked >= LOOK_SECONDS:
            self._looked = now
            if self._server is not None and not _alive(self._server):
                return False
        return now - self._company_until < LONELY_SECONDS

    def _receive(self, timeout: float) -> None:
        for key, _ in self._selector.select(timeout):
            if key.fileobj is self._listener:
                self._accept()
            elif isinstance(key.fileobj, Connection):
                self._take_request(key.fileobj)

    def _accept(self) -> None:
        connection = Connection(self._listener.accept()[0].detach())
        self._connections.add(connection)
        self._selector.register(connection, selectors.EVENT_READ)
        with self._closed_on_failure(connection):
            send_hello(
                connection, {"device": self._encoder.device, "runtime": self._encoder.runtime}
            )

    def _take_request(self, connection: Connection) -> None:
        with self._closed_on_failure(connection):
            tokens = receive_request(connection)
            request = EncodeRequest(tokens, self._encoder.config.dimension)
            self._asked[request] = connection
            self._rounds.add(request)

    def _answer(self, request: EncodeRequest) -> None:
        connection = self._asked.pop(request, None)
        if connection is None:
            return
        with self._closed_on_failure(connection):
            if request.failure is None:
                send_vectors(connection, request.vectors)
            else:
                send_failure(connection, request.failure)

    @contextlib.contextmanager
    def _closed_on_failure(self, connection: Connection) -> Iterator[None]:
        """A worker that has gone, or makes no sense, loses its connection, and nothing else."""
        try:
            yield
        except (EOFError, OSError, ValueError, MemoryError) as fault:
            if not isinstance(fault, EOFError):
                log.warning("A worker's connection is closed: %s", fault)
            self._close(connection)

    def _close(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._selector.unregister(connection)
        connection.close()
        for request in [each for each, asker in self._asked.items() if asker is connection]:
            del self._asked[request]
            self._rounds.remove(request)


def _alive(process: int) -> bool:
    """Whether a process runs; one that only waits to be buried does not."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text("utf-8")
    except OSError:
        return False
