"""Which texts are encoded next when several requests wait: rounds of one batch each."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from container.encoder import Encoder, Tokens, longest_first

log = logging.getLogger(__name__)

# A text joins another request's batch where their lengths differ by no more tokens than this: a
# batch of its own costs about as much as so much padding.
JOIN_TOKENS = 16


class EncodeRequest:
    """The texts of one request, as token ids.

    ``vectors`` [texts, dimension] is complete when ``left`` is empty and ``failure`` is ``None``.
    """

    def __init__(self, tokens: Sequence[Tokens], dimension: int) -> None:
        self.tokens = tokens
        self.vectors: NDArray[np.float32] = np.empty((len(tokens), dimension), dtype=np.float32)
        self.left = deque(longest_first(tokens))
        self.failure: str | None = None


class Rounds:
    """The requests that wait, and the batches that are made of them.

    Each round belongs to the request that has waited longest: it gets the batch that it would get
    alone. Room that is left in it goes to texts of like length of the others, and a request that
    is not finished queues up again. So a short question waits for one batch of each request before
    it, never for all the texts of any.
    """

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._waiting: deque[EncodeRequest] = deque()

    def __len__(self) -> int:
        """How many requests wait."""
        return len(self._waiting)

    def add(self, request: EncodeRequest) -> None:
        """Queues a request with at least one text."""
        self._waiting.append(request)

    def encode_next(self) -> list[EncodeRequest]:
        """Encodes one batch; the requests that are finished with it.

        A failure, be it of memory, is the ``failure`` of the requests in that batch, no others'.
        """
        batch = self._next_batch()
        try:
            vectors = self._encoder.forward([request.tokens[number] for request, number in batch])
            for vector, (request, number) in zip(vectors, batch, strict=True):
                request.vectors[number] = vector
        except Exception as fault:
            log.exception("A batch of %d texts failed", len(batch))
            for request, _ in batch:
                request.failure = f"{type(fault).__name__}: {fault}"
                request.left.clear()
        finished = [request for request in self._waiting if not request.left]
        first, *others = self._waiting
        self._waiting = deque(request for request in (*others, first) if request.left)
        return finished

    def _next_batch(self) -> list[tuple[EncodeRequest, int]]:
        """The texts of the next round, by request and number; they are taken off the requests."""
        first = self._waiting[0]
        longest = length = len(first.tokens[first.left[0]])
        capacity = self._encoder.batch_capacity(longest)
        batch = [(first, first.left.popleft()) for _ in range(min(capacity, len(first.left)))]
        for request in list(self._waiting)[1:]:
            for number in list(request.left):
                if len(batch) >= capacity:
                    return batch
                size = len(request.tokens[number])
                if abs(size - length) > JOIN_TOKENS:
                    continue
                if size > longest:
                    if len(batch) >= self._encoder.batch_capacity(size):
                        continue
                    longest, capacity = size, self._encoder.batch_capacity(size)
                request.left.remove(number)
                batch.append((request, number))
        return batch
