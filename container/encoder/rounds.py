"""Which texts to encode next when several requests wait: rounds of one batch each."""

from __future__ import annotations

import logging
import math
import time
from bisect import bisect_left
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from container.encoder.base import Encoder, Tokens, longest_first

logger = logging.getLogger(__name__)

# A text joins another request's batch if their lengths differ by no more tokens than this.
# Measured with all-MiniLM-L6-v2: 10 and 40 tokens cost a fifth less in one batch than in two; 10
# and 100 cost the same, and the short text would wait for the long one.
JOIN_TOKENS = 32
# No batch should take longer, so that a short question behind two of them is answered in time. A
# batch of usual size takes a large model on a small CPU seconds.
BATCH_SECONDS = 0.5


class EncodeRequest:
    """The texts of one request, as token ids.

    `left` holds the numbers of the texts yet to be encoded, `tokens_left` counts their tokens.
    `vectors` [texts, dimension] is complete when nothing is left, `failure` is `None`, and the
    request was not dropped because `deadline` had passed (`expired`).
    """

    def __init__(
        self, tokens: Sequence[Tokens], dimension: int, deadline: float = math.inf
    ) -> None:
        self.tokens = tokens
        self.deadline = deadline
        self.expired = False
        self.vectors: NDArray[np.float32] = np.empty((len(tokens), dimension), dtype=np.float32)
        self.left = longest_first(tokens)
        self.tokens_left = sum(map(len, tokens))
        self.failure: str | None = None

    def length_at(self, place: int) -> int:
        """Tokens of the text at `place` in `left`, which has the longest text first."""
        return len(self.tokens[self.left[place]])

    def first_within(self, length: int) -> int:
        """The place in `left` of the first text with at most `length` tokens."""
        return bisect_left(self.left, -length, key=lambda number: -len(self.tokens[number]))

    def take(self, place: int, count: int) -> list[tuple[EncodeRequest, int]]:
        """Takes `count` texts out of `left`; returns this request with the number of each."""
        taken = self.left[place : place + count]
        del self.left[place : place + count]
        self.tokens_left -= sum(len(self.tokens[number]) for number in taken)
        return [(self, number) for number in taken]


class Rounds:
    """The waiting requests, and the batches made of them.

    Rounds alternate between the request that has waited longest and the one with the least left.
    So a short question is answered within a batch or two, however large the other requests are,
    and no request waits forever. Large requests of similar size finish one after another rather
    than all at the end, so one is formatted while another is encoded. The request whose round it
    is gets the batch that it would get alone; remaining room goes to texts of similar length. A
    batch has fewer texts where one of usual size takes longer than BATCH_SECONDS.

    A request whose deadline has passed is dropped, since nobody waits for it.

    `clock` returns seconds, those of the deadlines.
    """

    def __init__(self, encoder: Encoder, clock: Callable[[], float] = time.monotonic) -> None:
        self._encoder = encoder
        self._clock = clock
        self._waiting: list[EncodeRequest] = []
        self._for_oldest = False
        self._most_tokens = math.inf

    def __len__(self) -> int:
        """How many requests wait."""
        return len(self._waiting)

    def add(self, request: EncodeRequest) -> None:
        """Queues a request with at least one text."""
        self._waiting.append(request)

    def remove(self, request: EncodeRequest) -> None:
        """Drops a request that nobody waits for any longer."""
        self._waiting = [each for each in self._waiting if each is not request]

    def encode_next(self) -> list[EncodeRequest]:
        """Encodes one batch and returns the requests that it finished, and those that expired.

        An error, even a lack of memory, becomes the `failure` of the requests in that batch alone.
        """
        began = self._clock()
        if expired := [request for request in self._waiting if request.deadline <= began]:
            for request in expired:
                request.expired = True
                self.remove(request)
            logger.info("Dropped %d requests whose time was over", len(expired))
            return expired
        batch = self._next_batch()
        try:
            vectors = self._encoder.forward([request.tokens[number] for request, number in batch])
            for vector, (request, number) in zip(vectors, batch, strict=True):
                request.vectors[number] = vector
        except Exception as error:
            logger.exception("A batch of %d texts failed", len(batch))
            for request, _ in batch:
                request.failure = f"{type(error).__name__}: {error}"
                request.left.clear()
        longest = max(len(request.tokens[number]) for request, number in batch)
        self._learn_speed(longest * len(batch), self._clock() - began)
        finished = [request for request in self._waiting if not request.left]
        self._waiting = [request for request in self._waiting if request.left]
        return finished

    def _next_batch(self) -> list[tuple[EncodeRequest, int]]:
        """Takes the texts of the next round out of the requests: pairs of request and number."""
        self._for_oldest = not self._for_oldest
        first = self._waiting[0]
        if not self._for_oldest:
            first = min(self._waiting, key=lambda request: request.tokens_left)
        length = first.length_at(0)
        batch = first.take(0, self._capacity(length))
        longest = length
        for request in self._waiting:
            at = request.first_within(length + JOIN_TOKENS)
            while (
                at < len(request.left) and (size := request.length_at(at)) >= length - JOIN_TOKENS
            ):
                if len(batch) < self._capacity(max(size, longest)):
                    batch += request.take(at, 1)
                    longest = max(size, longest)
                elif size > longest:
                    at = request.first_within(longest)
                else:
                    return batch
        return batch

    def _capacity(self, length: int) -> int:
        """How many texts go into a batch whose longest text has `length` tokens."""
        capacity = self._encoder.batch_capacity(length)
        return int(min(capacity, max(1, self._most_tokens / length)))

    def _learn_speed(self, tokens: int, seconds: float) -> None:
        """Adapts the size of the batches to what one of `tokens`, padding included, has taken."""
        if seconds > BATCH_SECONDS:
            self._most_tokens = tokens * BATCH_SECONDS / seconds
        elif seconds < BATCH_SECONDS / 2 and 2 * tokens > self._most_tokens:
            self._most_tokens *= 2
