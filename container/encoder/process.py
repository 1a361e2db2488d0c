"""The process that holds the model for all of a server's workers.

multi-model-server gives a Python worker one request at a time, so a worker cannot encode
simultaneous requests together. This process can: workers send token ids, and texts of several
requests share a batch (`container.encoder.rounds`).

No request waits for others that might come. What arrives while a batch is encoded forms the next
batch, so batches grow with the load. Measured with eight busy workers, waiting 1, 2 or 4 ms saved
a tenth of the encoder's time per request and raised no throughput, but a lone caller would wait
for nothing.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from multiprocessing.connection import Connection
from pathlib import Path

from container.artifact import read_manifest
from container.encoder.base import Encoder
from container.encoder.load import broken_artifact, load_encoder
from container.encoder.rounds import EncodeRequest, Rounds
from container.encoder.shared import report_failure, send_hello, slots_file
from container.encoder.wire import receive_request, send_expired, send_failure, send_vectors
from container.errors import LoadError

logger = logging.getLogger(__name__)

# How long the process lives without a worker. Between two of them seconds may pass: the server
# waits before it replaces workers, longer each time.
LONELY_SECONDS = 60.0
# How often it checks that its owners are still running.
CHECK_SECONDS = 0.5


def main(
    model_dir: Path,
    address: str,
    descriptor: int,
    owners: Sequence[int],
    hashes: Future[dict[str, str]],
) -> int:
    """Serves the model in `model_dir`, whose files have these `hashes`; returns the exit status.

    Runs until no worker is left, or one of the processes `owners` ends. Workers wait at the
    listening socket `descriptor`, whose address is `address`, until the model is loaded; then they
    learn that it is, or why it cannot be.
    """
    # Anything that a library prints goes to the log.
    os.dup2(2, 1)
    logging.basicConfig(stream=sys.stderr, format="%(message)s", level=logging.INFO)
    with socket.socket(fileno=descriptor) as listener:
        try:
            started = time.monotonic()
            with broken_artifact():
                encoder = load_encoder(model_dir, read_manifest(model_dir), hashes)
        except Exception as error:
            kind = "" if isinstance(error, LoadError) else f"{type(error).__name__}: "
            # Nobody may come while those who wait are told, only to find the listener closed.
            Path(address).unlink(missing_ok=True)
            report_failure(listener, f"{kind}{error}")
            return 1
        logger.info("Encoder process ready in %.1f s", time.monotonic() - started)
        try:
            EncoderServer(encoder, listener, owners).run()
        finally:
            # While the listener is open, nobody else can have taken its place.
            Path(address).unlink(missing_ok=True)
            slots_file(address).unlink(missing_ok=True)
    return 0


class EncoderServer:
    """Receives requests, encodes round after round, and answers each request once it is finished.

    Ends with any of the processes `owners`, or after some time without a connection.
    """

    def __init__(self, encoder: Encoder, listener: socket.socket, owners: Sequence[int]) -> None:
        self._encoder = encoder
        self._listener = listener
        self._owners = owners
        self._rounds = Rounds(encoder)
        self._asked: dict[EncodeRequest, Connection] = {}
        self._connections: set[Connection] = set()
        self._selector = selectors.DefaultSelector()
        self._selector.register(listener, selectors.EVENT_READ)
        self._checked = self._alone_since = time.monotonic()

    def run(self) -> None:
        """Serves for as long as it is needed."""
        while self._is_needed():
            self._receive(0 if self._rounds else CHECK_SECONDS)
            if self._rounds:
                for request in self._rounds.encode_next():
                    self._answer(request)
        for connection in self._connections:
            connection.close()

    def _is_needed(self) -> bool:
        now = time.monotonic()
        if self._connections:
            self._alone_since = now
        if now - self._checked >= CHECK_SECONDS:
            self._checked = now
            if not all(map(_is_running, self._owners)):
                return False
        return now - self._alone_since < LONELY_SECONDS

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
        with self._closed_on_error(connection):
            send_hello(connection, self._encoder.device, self._encoder.runtime)

    def _take_request(self, connection: Connection) -> None:
        with self._closed_on_error(connection):
            tokens, deadline = receive_request(connection)
            request = EncodeRequest(tokens, self._encoder.config.dimension, deadline)
            self._asked[request] = connection
            self._rounds.add(request)

    def _answer(self, request: EncodeRequest) -> None:
        connection = self._asked.pop(request, None)
        if connection is None:
            return
        with self._closed_on_error(connection):
            if request.expired:
                send_expired(connection)
            elif request.failure is None:
                send_vectors(connection, request.vectors)
            else:
                send_failure(connection, request.failure)

    @contextlib.contextmanager
    def _closed_on_error(self, connection: Connection) -> Iterator[None]:
        """A worker that has gone, or sends nonsense, loses its connection and affects no other."""
        try:
            yield
        except (EOFError, OSError, ValueError, MemoryError) as error:
            if not isinstance(error, EOFError):
                logger.warning("Closed a worker's connection: %s", error)
            self._close(connection)

    def _close(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._selector.unregister(connection)
        connection.close()
        for request in [each for each, asker in self._asked.items() if asker is connection]:
            del self._asked[request]
            self._rounds.remove(request)


def _is_running(process: int) -> bool:
    """Whether a process runs; zombies do not count."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text("utf-8")
    except OSError:
        return False
