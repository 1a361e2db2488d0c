"""The encoder of a worker: the model runs in the encoder process, which all workers share."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Client, Connection
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import numpy as np
from numpy.typing import NDArray

from container.artifact import WEIGHTS
from container.encoder.base import TextEncoder, Tokens
from container.encoder.load import model_config
from container.encoder.model_config import ModelConfig
from container.encoder.wire import receive_hello, receive_vectors, send_request
from container.errors import LoadError

# The encoder process finds our packages by the path of the process that starts it.
_PROGRAM = """
import json, pathlib, sys
model_dir, address, server, path = sys.argv[1:]
sys.path[:] = json.loads(path)
from container.encoder.process import main
sys.exit(main(pathlib.Path(model_dir), address, json.loads(server)))
"""
# The longest address of a Unix socket, its closing NUL included, is 104 on macOS (108 on Linux).
_MAX_ADDRESS = 104


def shared_encoder(
    model_dir: Path,
    manifest: dict[str, Any],
    *,
    parent: int,
    server: int | None,
    lost: Callable[[str], object],
) -> RemoteEncoder:
    """The encoder that all workers below the process `parent` share.

    The first worker starts the encoder process and waits until it is ready; the others wait for
    that. The encoder process ends with the multi-model-server whose process id is `server`, if
    there is one. When it ends, `lost` is called with a reason, in a thread. Raises LoadError with
    the reason why it failed to start.
    """
    config = model_config(model_dir, manifest)
    address = _address(model_dir, parent)
    with _locked(model_dir):
        if not _answers(address):
            _start(model_dir, address, server)
        try:
            encoder = RemoteEncoder(config, model_dir / WEIGHTS / "tokenizer.json", address)
        except (OSError, EOFError) as error:
            raise LoadError(f"the encoder process does not answer: {error}") from error
    encoder.watch(lost)
    return encoder


class RemoteEncoder(TextEncoder):
    """Tokenises here and lets the encoder process at `address` do the rest.

    May be opened in a process that then forks the workers: each opens its own connection when it
    first encodes.
    """

    def __init__(self, config: ModelConfig, tokenizer_file: Path, address: str) -> None:
        """Raises OSError or EOFError if no encoder process answers at `address`."""
        super().__init__(config, tokenizer_file)
        self._address = address
        # Stays open as long as this process, or one forked from it, lives; and the encoder process
        # lives as long as anything is connected to it.
        self._lifeline, about = _connect(address)
        self.device, self.runtime = about["device"], about["runtime"]
        self._lock = Lock()
        self._connection: Connection | None = None
        self._owner = os.getpid()

    def encode_tokens(self, tokens: Sequence[Tokens]) -> NDArray[np.float32]:
        """Raises OSError or EOFError without an encoder process, RuntimeError when that failed."""
        if not tokens:
            return np.empty((0, self.config.dimension), dtype=np.float32)
        with self._lock:
            connection = self._connected()
            try:
                send_request(connection, tokens)
                return receive_vectors(connection, len(tokens), self.config.dimension)
            except (OSError, EOFError):
                self._connection = None
                raise

    def watch(self, lost: Callable[[str], object]) -> None:
        """Calls `lost` with a reason, in a thread, when the encoder process ends."""

        def wait() -> None:
            with suppress(OSError, EOFError):
                self._lifeline.recv_bytes()
            lost("the encoder process has ended")

        Thread(target=wait, name="encoder-watch", daemon=True).start()

    def _connected(self) -> Connection:
        """This process's own connection; one opened before a fork belongs to another process."""
        if self._connection is None or self._owner != os.getpid():
            self._connection, _ = _connect(self._address)
            self._owner = os.getpid()
        return self._connection


def _connect(address: str) -> tuple[Connection, dict[str, str]]:
    connection = Client(address, "AF_UNIX")
    return connection, receive_hello(connection)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One process at a time. Locks the folder itself, because it may be read-only."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _address(model_dir: Path, parent: int) -> str:
    """An address for these workers alone, in a folder that only this user can enter."""
    name = hashlib.sha256(f"{parent}:{model_dir.resolve()}".encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"faq-search-{os.getuid()}"
    if len(os.fsencode(folder / name)) >= _MAX_ADDRESS:
        folder = Path("/tmp") / folder.name  # noqa: S108 - only this user can enter it
    folder.mkdir(mode=0o700, exist_ok=True)
    about = folder.stat()
    if about.st_uid != os.getuid() or about.st_mode & 0o077:
        raise LoadError(f"{folder} is open to other users, so the encoder's socket would be too")
    return str(folder / name)


def _answers(address: str) -> bool:
    try:
        connection, _ = _connect(address)
    except (OSError, EOFError):
        return False
    connection.close()
    return True


def _start(model_dir: Path, address: str, server: int | None) -> None:
    environment = dict(os.environ)
    # multi-model-server sets it to 1 for its many workers; this one process uses all processors.
    environment.pop("OMP_NUM_THREADS", None)
    arguments = [str(model_dir), address, json.dumps(server), json.dumps(sys.path)]
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    with process.stdout:
        said = process.stdout.read()
    if not said:
        raise LoadError(f"the encoder process ended with status {process.wait()}")
    report = json.loads(said)
    if "failed" in report:
        process.wait()
        raise LoadError(report["failed"])
