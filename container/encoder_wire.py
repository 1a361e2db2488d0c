"""What a worker and the encoder process say to each other.

Token ids out, vectors back, as arrays of the machine's own byte order: both ends are on one
machine and of one version. Nothing is pickled.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from multiprocessing.connection import Connection

import numpy as np
from numpy.typing import NDArray

from container.encoder import Tokens


def send_hello(connection: Connection, about: dict[str, str]) -> None:
    """The first that the encoder process says: ``device`` and ``runtime``."""
    connection.send_bytes(json.dumps(about).encode())


def receive_hello(connection: Connection) -> dict[str, str]:
    """Waits for the encoder process to answer the call."""
    about: dict[str, str] = json.loads(connection.recv_bytes())
    return about


def send_request(connection: Connection, tokens: Sequence[Tokens]) -> None:
    """Sends texts: their number, their lengths, then all token ids, as int32."""
    lengths = [len(text) for text in tokens]
    parts = [np.asarray(part, dtype=np.int32) for part in ([len(tokens)], lengths, *tokens)]
    connection.send_bytes(np.concatenate(parts).tobytes())


def receive_request(connection: Connection) -> list[NDArray[np.int32]]:
    """Receives texts, at least one, none empty. Raises ValueError for anything else."""
    numbers = np.frombuffer(connection.recv_bytes(), dtype=np.int32)
    count = int(numbers[0]) if len(numbers) else 0
    lengths, ids = numbers[1 : 1 + count], numbers[1 + count :]
    if count < 1 or len(lengths) != count or (lengths < 1).any() or lengths.sum() != len(ids):
        raise ValueError("a message that holds no texts")
    return np.split(ids, np.cumsum(lengths[:-1]))


def send_vectors(connection: Connection, vectors: NDArray[np.float32]) -> None:
    """Answers a request: an empty message, then the vectors."""
    connection.send_bytes(b"")
    connection.send_bytes(vectors.data.cast("B"))


def send_failure(connection: Connection, words: str) -> None:
    """Answers a request that failed."""
    connection.send_bytes((words or "no reason given").encode())


def receive_vectors(connection: Connection, texts: int, dimension: int) -> NDArray[np.float32]:
    """The answer, float32 [texts, dimension]. Raises RuntimeError with a failure's words."""
    failure = connection.recv_bytes()
    if failure:
        raise RuntimeError(failure.decode())
    vectors = np.empty((texts, dimension), dtype=np.float32)
    connection.recv_bytes_into(vectors.data.cast("B"))
    return vectors
