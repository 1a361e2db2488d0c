"""What shares a batch, whose turn it is, and what a failure affects."""

from __future__ import annotations

import numpy as np
import pytest

from container.encoder.rounds import JOIN_TOKENS, EncodeRequest, Rounds
from tests.support.encoder import vector_of


def texts(*lengths, first=7):
    return [[first, *range(length - 1)] for length in lengths]


def run(counting, *requests):
    """Encodes until nothing waits; returns which requests each round finished."""
    rounds = Rounds(counting)
    for request in requests:
        rounds.add(request)
    finished = []
    while rounds:
        finished.append([requests.index(request) for request in rounds.encode_next()])
    return finished


def request(*lengths, first=7):
    return EncodeRequest(texts(*lengths, first=first), 32)


@pytest.mark.parametrize("lengths", [(5,), (3, 9, 3, 40, 12, 3, 3, 11, 60), tuple(range(1, 70))])
def test_alone_a_request_gets_the_batches_that_it_gets_in_process(counting, lengths):
    alone = request(*lengths)
    run(counting, alone)
    in_rounds = list(counting.batches)
    counting.batches.clear()
    np.testing.assert_array_equal(alone.vectors, counting.encode_tokens(alone.tokens))
    assert in_rounds == counting.batches


def test_texts_of_similar_length_share_a_batch_and_return_to_their_requests(counting):
    requests = [request(length, first=length) for length in (5, 8, 6, 7)]
    assert run(counting, *requests) == [[0, 1, 2, 3]]
    assert counting.batches == [[5, 8, 6, 7]]
    for each in requests:
        assert each.vectors.tolist() == [vector_of(text) for text in each.tokens]
        assert each.failure is None


def test_a_batch_stays_within_its_tokens(counting):
    requests = [request(8) for _ in range(6)]
    assert run(counting, *requests) == [[0, 1, 2, 3, 4], [5]]
    counting.batches.clear()
    # The third would make it one of three times fourteen tokens.
    assert run(counting, request(8), request(8), request(14)) == [[0, 1], [2]]
    assert counting.batches == [[8, 8], [14]]


def test_texts_of_other_lengths_wait_for_another_batch(counting):
    short, long = request(2), request(2 + JOIN_TOKENS + 1)
    assert run(counting, short, long) == [[0], [1]]
    assert counting.batches == [[2], [2 + JOIN_TOKENS + 1]]


def test_a_short_question_waits_for_a_batch_or_two(counting):
    first, second, question = request(*[38] * 50), request(*[38] * 50), request(2)
    rounds = Rounds(counting)
    rounds.add(first)
    rounds.add(second)
    assert rounds.encode_next() == []
    rounds.add(question)
    assert rounds.encode_next() == [question]
    assert counting.batches == [[38], [2]]


def test_large_requests_finish_one_after_another(counting):
    finished = run(counting, request(*[20] * 50), request(*[20] * 50))
    assert [index for index, ended in enumerate(finished) if ended] == [24, 49]


def test_no_request_waits_forever(counting):
    """Short ones keep coming; the oldest gets every other round."""
    large, rounds = request(*[38] * 10), Rounds(counting)
    rounds.add(large)
    count = 0
    while count < 30 and large.left:
        rounds.add(request(2))
        rounds.encode_next()
        count += 1
    assert count == 19


def test_room_in_a_batch_goes_to_other_requests(counting):
    """Five texts of eight tokens are a batch."""
    assert run(counting, request(8, 8), request(*[8] * 6)) == [[0], [1]]
    assert counting.batches == [[8] * 5, [8] * 3]


def test_a_longer_text_that_does_not_fit_leaves_room_for_shorter_ones(counting):
    assert run(counting, request(10, 10), request(14, 10, 9, 9), request(10)) == [[0], [2], [1]]
    assert counting.batches == [[10, 10, 10, 9], [10, 14], [9]]


class Clock:
    """Stands still while nothing is encoded; a batch takes `seconds_of(its tokens)`."""

    def __init__(self, counting, seconds_of=lambda _: 0.1):
        self.now, self.seconds_of = 100.0, seconds_of
        self._forward, counting.forward = counting.forward, self.forward

    def __call__(self):
        return self.now

    def forward(self, tokens):
        self.now += self.seconds_of(sum(map(len, tokens)))
        return self._forward(tokens)


def test_a_request_whose_time_is_over_is_dropped_and_nothing_else(counting):
    clock = Clock(counting)
    rounds = Rounds(counting, clock)
    late = EncodeRequest(texts(*[38] * 50), 32, clock.now + 0.25)
    other = EncodeRequest(texts(*[20] * 8), 32, clock.now + 60)
    for each in (late, other):
        rounds.add(each)
    finished = []
    while rounds:
        finished += rounds.encode_next()
    assert finished == [late, other]
    assert late.expired and late.left
    assert not other.expired and other.failure is None
    assert counting.batches.count([38]) == 2


def test_many_large_requests_delay_small_ones_little_and_leave_nothing_behind(counting):
    clock = Clock(counting)
    rounds = Rounds(counting, clock)
    for _ in range(12):
        rounds.add(EncodeRequest(texts(*[38] * 500), 32, clock.now + 20))
    waits = []
    while rounds:
        small, began = EncodeRequest(texts(5), 32, clock.now + 20), clock.now
        rounds.add(small)
        while small not in rounds.encode_next():
            pass
        waits.append(clock.now - began)
    assert len(waits) > 50
    assert max(waits) < 0.45, "four batches"
    assert clock.now < 100 + 20 + 0.45, "idle once the time of all is over"


def test_batches_that_take_long_become_smaller_and_grow_again(counting):
    clock = Clock(counting, lambda tokens: tokens * 0.05)  # 40 tokens: two seconds
    rounds = Rounds(counting, clock)
    rounds.add(request(*[8] * 8))
    while rounds:
        rounds.encode_next()
    assert counting.batches == [[8] * 5, [8], [8], [8]]
    counting.batches.clear()
    clock.seconds_of = lambda _: 0.0
    rounds.add(request(*[8] * 12))
    while rounds:
        rounds.encode_next()
    assert counting.batches == [[8], [8, 8], [8] * 5, [8] * 4]


def test_a_failure_affects_only_its_batch(counting):
    rounds = Rounds(counting)
    hit, hit_too, spared = request(*[8] * 4), request(8, 30), request(38)
    for each in (hit, hit_too, spared):
        rounds.add(each)
    counting.broken = MemoryError("no room")
    assert rounds.encode_next() == [hit, hit_too]
    assert hit.failure == hit_too.failure == "MemoryError: no room"
    counting.broken = None
    assert rounds.encode_next() == [spared]
    assert spared.failure is None
    assert not rounds
