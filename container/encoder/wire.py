"""The messages between a worker and the encoder process.

Token ids go out and vectors come back, as arrays in the machine's own byte order: both ends run on
one machine and are of one version. Nothing is pickled.

A message is sent in one piece and takes few steps: between two requests the model's weights have
passed through the processor's caches, so every step costs ten times what it does warm.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from itertools import accumulate, pairwise
from multiprocessing.connection import Connection

import numpy as np
from numpy.typing import NDArray

from container.encoder.base import Tokens

# An answer starts with one of these; its four bytes keep the float32 that may follow aligned.
_VECTORS, _FAILURE = b"vecs", b"fail"


def send_request(connection: Connection, tokens: Sequence[Tokens]) -> None:
    """Sends the number of texts, their lengths, then all token ids, as int32."""
    numbers = array("i", [len(tokens), *map(len, tokens)])
    for text in tokens:
        numbers.extend(text)
    connection.send_bytes(numbers)


def receive_request(connection: Connection) -> list[Tokens]:
    """Receives at least one text, none of them empty. Raises ValueError for anything else."""
    numbers = array("i", connection.recv_bytes())
    first = 1 + (numbers[0] if numbers else 0)
    lengths = numbers[1 : max(1, first)]
    if not lengths or min(lengths) < 1 or first + sum(lengths) != len(numbers):
        raise ValueError("the message holds no texts")
    places = pairwise(accumulate(lengths, initial=first))
    return [numbers[start:end] for start, end in places]


def send_vectors(connection: Connection, vectors: NDArray[np.float32]) -> None:
    """Answers a request."""
    connection.send_bytes(_VECTORS + vectors.data)


def send_failure(connection: Connection, words: str) -> None:
    """Answers a request that failed."""
    connection.send_bytes(_FAILURE + (words or "no reason given").encode())


def receive_vectors(connection: Connection, texts: int, dimension: int) -> NDArray[np.float32]:
    """The answer, float32 [texts, dimension]. Raises RuntimeError with the reason of a failure."""
    answer = bytearray(connection.recv_bytes())
    if not answer.startswith(_VECTORS):
        raise RuntimeError(answer[len(_FAILURE) :].decode())
    vectors = np.frombuffer(answer, dtype=np.float32, offset=len(_VECTORS))
    return vectors.reshape(texts, dimension)
