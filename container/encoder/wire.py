"""The messages between a worker and the encoder process.

Token ids go out and vectors come back, as arrays in the machine's own byte order: both ends run on
one machine and are of one version. Nothing is pickled.

A message is sent in one piece and takes few steps: between two requests the model's weights have
passed through the processor's caches, so every step costs ten times what it does warm.
"""

from __future__ import annotations

import math
import struct
from array import array
from collections.abc import Sequence
from itertools import accumulate, pairwise
from multiprocessing.connection import Connection

import numpy as np
from numpy.typing import NDArray

from container.encoder.base import Tokens
from container.errors import ExpiredError

# An answer starts with one of these; its four bytes keep the float32 that may follow aligned.
_VECTORS, _FAILURE, _EXPIRED = b"vecs", b"fail", b"late"
# By time.monotonic, which all processes of a machine share.
_DEADLINE = struct.Struct("d")


def send_request(
    connection: Connection, tokens: Sequence[Tokens], deadline: float = math.inf
) -> None:
    """Sends the deadline, then as int32 the number of texts, their lengths and all token ids."""
    numbers = array("i", _DEADLINE.pack(deadline))
    numbers.extend((len(tokens), *map(len, tokens)))
    for text in tokens:
        numbers.extend(text)
    connection.send_bytes(numbers)


def receive_request(connection: Connection) -> tuple[list[Tokens], float]:
    """Receives at least one text, none of them empty, and the deadline.

    Raises ValueError for anything else.
    """
    message = memoryview(connection.recv_bytes())
    if len(message) < _DEADLINE.size:
        raise ValueError("the message has no deadline")
    (deadline,) = _DEADLINE.unpack_from(message)
    numbers = array("i")
    numbers.frombytes(message[_DEADLINE.size :])
    first = 1 + (numbers[0] if numbers else 0)
    lengths = numbers[1 : max(1, first)]
    if not lengths or min(lengths) < 1 or first + sum(lengths) != len(numbers):
        raise ValueError("the message holds no texts")
    places = pairwise(accumulate(lengths, initial=first))
    return [numbers[start:end] for start, end in places], deadline


def send_vectors(connection: Connection, vectors: NDArray[np.float32]) -> None:
    """Answers a request."""
    connection.send_bytes(_VECTORS + vectors.data)


def send_failure(connection: Connection, words: str) -> None:
    """Answers a request that failed."""
    connection.send_bytes(_FAILURE + (words or "no reason given").encode())


def send_expired(connection: Connection) -> None:
    """Answers a request whose deadline has passed."""
    connection.send_bytes(_EXPIRED)


def receive_vectors(connection: Connection, texts: int, dimension: int) -> NDArray[np.float32]:
    """The answer, float32 [texts, dimension].

    Raises RuntimeError with the reason of a failure, ExpiredError for a dropped request.
    """
    answer = bytearray(connection.recv_bytes())
    if answer == _EXPIRED:
        raise ExpiredError
    if not answer.startswith(_VECTORS):
        raise RuntimeError(answer[len(_FAILURE) :].decode())
    vectors = np.frombuffer(answer, dtype=np.float32, offset=len(_VECTORS))
    return vectors.reshape(texts, dimension)
