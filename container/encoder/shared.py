"""The encoder process that the workers of one server share: how it is started and reached.

The first worker that needs it starts it. Its socket is bound before the process starts, so
connections wait there until the model is loaded, and no worker starts a second one meanwhile.

Imports the standard library only, because `container.serving.inference.load_ahead` runs while
Python itself starts.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Client, Connection
from pathlib import Path

from container.errors import LoadError

# The encoder process finds our packages by the path of the process that starts it. It hashes the
# artifact's files while it imports the others.
_PROGRAM = """
import json, pathlib, sys
model_dir, address, listener, *owners = json.loads(sys.argv[1])
sys.path[:] = json.loads(sys.argv[2])
from container.artifact import hash_files
folder = pathlib.Path(model_dir)
hashes = hash_files(folder)
from container.encoder.process import main
sys.exit(main(folder, address, listener, owners, hashes))
"""
# The longest address of a Unix socket, its closing NUL included, is 104 on macOS (108 on Linux).
_MAX_ADDRESS = 104
_BACKLOG = 128
# An encoder process that dies while it loads (it ran out of memory, or its last worker had just
# left) is started once more.
_ATTEMPTS = 2


@dataclass(frozen=True, slots=True)
class Shared:
    """A connection to the encoder process, and the device and runtime of its encoder."""

    address: str
    connection: Connection
    device: str
    runtime: str


def connect(model_dir: Path, *, parent: int, server: int | None) -> Shared:
    """Connects to the encoder process of the workers below the process `parent`.

    Starts it if need be, and waits until it has loaded the model. It ends with `parent` and with
    the multi-model-server whose process id is `server`, if there is one. Raises LoadError with the
    reason why it cannot load.
    """
    address = _address(model_dir, parent)
    status = ""
    for _ in range(_ATTEMPTS):
        started, connection = _started(model_dir, address, parent, server)
        try:
            return shake_hands(address, connection)
        except (OSError, EOFError):
            # Only its parent learns the status of a process.
            status = "" if started is None else f" with status {started.wait()}"
    raise LoadError(f"the encoder process ended{status} before the model was loaded")


def slots_file(address: str) -> Path:
    """The file whose bytes workers lock while they answer large requests."""
    return Path(f"{address}.large")


def load_ahead(model_dir: Path, *, parent: int, server: int | None, seconds: float) -> bool:
    """Starts the encoder process and returns whether the model loads within `seconds`.

    If not, it loads on. Raises LoadError with its reason if it cannot. A process that ends without
    one counts as loaded: `connect` will start it once more.
    """
    address = _address(model_dir, parent)
    _, connection = _started(model_dir, address, parent, server)
    with connection, suppress(OSError, EOFError):
        if not connection.poll(seconds):
            return False
        shake_hands(address, connection)
    return True


def shake_hands(address: str, connection: Connection | None = None) -> Shared:
    """Waits until the encoder process at `address` has loaded the model.

    Raises LoadError with its reason if it cannot, OSError or EOFError if it ends.
    """
    connection = connection or Client(address, "AF_UNIX")
    about: dict[str, str] = json.loads(connection.recv_bytes())
    if "failed" in about:
        connection.close()
        raise LoadError(about["failed"])
    return Shared(address, connection, about["device"], about["runtime"])


def send_hello(connection: Connection, device: str, runtime: str) -> None:
    """Tells a worker that the model is loaded."""
    connection.send_bytes(json.dumps({"device": device, "runtime": runtime}).encode())


def report_failure(listener: socket.socket, reason: str) -> None:
    """Tells everybody who waits that the model cannot be loaded."""
    listener.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            with Connection(listener.accept()[0].detach()) as connection, suppress(OSError):
                connection.send_bytes(json.dumps({"failed": reason}).encode())


def listen(address: str) -> socket.socket:
    """A socket at `address`, in the place of one that a killed process has left there."""
    Path(address).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(_BACKLOG)
    return listener


def _started(
    model_dir: Path, address: str, parent: int, server: int | None
) -> tuple[subprocess.Popen[bytes] | None, Connection]:
    """A connection to the encoder process, and the process if this call has started it."""
    with _locked(model_dir):
        try:
            return None, Client(address, "AF_UNIX")
        except OSError:
            with listen(address) as listener:
                owners = [parent] if server is None else [parent, server]
                process = _start(model_dir, address, listener, owners)
                return process, Client(address, "AF_UNIX")


def _start(
    model_dir: Path, address: str, listener: socket.socket, owners: Sequence[int]
) -> subprocess.Popen[bytes]:
    environment = dict(os.environ)
    # multi-model-server sets it to 1 for its many workers; this one process uses all processors.
    environment.pop("OMP_NUM_THREADS", None)
    about = json.dumps([str(model_dir), address, listener.fileno(), *owners])
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, about, json.dumps(sys.path)],
        env=environment,
        stdin=subprocess.DEVNULL,
        pass_fds=[listener.fileno()],
    )


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
