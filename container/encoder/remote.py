"""The encoder of a worker: the model runs in the encoder process, which all workers share."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import numpy as np
from numpy.typing import NDArray

from container.artifact import WEIGHTS
from container.encoder.base import TextEncoder, Tokens
from container.encoder.load import model_config
from container.encoder.model_config import ModelConfig
from container.encoder.shared import Shared, connect, shake_hands, slots_file
from container.encoder.wire import receive_vectors, send_request
from container.errors import BusyError

# How many workers of a server answer large requests at once. Two keep the encoder busy: one is
# encoded while the other is tokenised or formatted. The other workers stay free for small ones.
LARGE_AT_ONCE = 2


def shared_encoder(
    model_dir: Path,
    manifest: dict[str, Any],
    *,
    parent: int,
    server: int | None,
    lost: Callable[[str], object],
) -> RemoteEncoder:
    """The encoder that all workers below the process `parent` share.

    When the encoder process ends, `lost` is called with a reason, in a thread. See
    `container.encoder.shared.connect` for the rest.
    """
    config = model_config(model_dir, manifest)
    shared = connect(model_dir, parent=parent, server=server)
    encoder = RemoteEncoder(config, model_dir / WEIGHTS / "tokenizer.json", shared)
    encoder.watch(lost)
    return encoder


class RemoteEncoder(TextEncoder):
    """Tokenises here and lets the encoder process do the rest.

    May be opened in a process that then forks the workers: each opens its own connection when it
    first encodes.
    """

    def __init__(self, config: ModelConfig, tokenizer_file: Path, shared: Shared) -> None:
        super().__init__(config, tokenizer_file)
        self._address = shared.address
        # Stays open as long as this process, or one forked from it, lives; and the encoder process
        # lives as long as anything is connected to it.
        self._lifeline = shared.connection
        self.device, self.runtime = shared.device, shared.runtime
        self._lock = Lock()
        self._connection: Connection | None = None
        self._owner = os.getpid()
        self._slots = slots_file(shared.address).open("ab")

    def encode_tokens(self, tokens: Sequence[Tokens]) -> NDArray[np.float32]:
        """Raises OSError or EOFError without an encoder process, RuntimeError when that failed.

        Raises ExpiredError once `deadline` has passed.
        """
        self.check_time()
        if not tokens:
            return np.empty((0, self.config.dimension), dtype=np.float32)
        with self._lock:
            connection = self._connected()
            try:
                send_request(connection, tokens, self.deadline)
                return receive_vectors(connection, len(tokens), self.config.dimension)
            except (OSError, EOFError):
                self._connection = None
                raise

    @contextmanager
    def large_request(self) -> Iterator[None]:
        """Raises BusyError while LARGE_AT_ONCE other workers answer large requests.

        A lock of this kind belongs to a process, also to a forked one, and ends with it.
        """
        for slot in range(LARGE_AT_ONCE):
            try:
                fcntl.lockf(self._slots, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, slot)
            except (BlockingIOError, PermissionError):
                continue
            try:
                yield
            finally:
                fcntl.lockf(self._slots, fcntl.LOCK_UN, 1, slot)
            return
        raise BusyError

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
            self._connection = shake_hands(self._address).connection
            self._owner = os.getpid()
        return self._connection
