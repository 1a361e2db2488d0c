"""What shares a batch, whose turn it is, and what a failure concerns."""

from __future__ import annotations

import numpy as np
import pytest

from container.encoder.rounds import JOIN_TOKENS, EncodeRequest, Rounds
from tests.support.encoder import CountingEncoder, vector_of


@pytest.fixture(scope="module")
def counting(tmp_path_factory):
    return CountingEncoder(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def encoder(counting):
    counting.batches.clear()
    counting.broken = None
    return counting


def texts(*lengths, first=7):
    return [[first, *range(length - 1)] for length in lengths]


def run(encoder, *requests):
    """Encodes rounds until nobody waits; which requests each round finished."""
    rounds = Rounds(encoder)
    for request in requests:
        rounds.add(request)
    finished = []
    while rounds:
        finished.append([requests.index(request) for request in rounds.encode_next()])
    return finished


def request(*lengths, first=7):
    return EncodeRequest(texts(*lengths, first=first), 32)


@pytest.mark.parametrize("lengths", [(5,), (3, 9, 3, 40, 12, 3, 3, 11, 60), tuple(range(1, 70))])
def test_alone_a_request_gets_the_batches_that_it_gets_in_process(encoder, lengths):
    alone = request(*lengths)
    run(encoder, alone)
    in_rounds = list(encoder.batches)
    encoder.batches.clear()
    np.testing.assert_array_equal(alone.vectors, encoder.encode_tokens(alone.tokens))
    assert in_rounds == encoder.batches


def test_texts_of_like_length_share_a_batch_and_go_back_to_their_requests(encoder):
    requests = [request(length, first=length) for length in (5, 8, 6, 7)]
    assert run(encoder, *requests) == [[0, 1, 2, 3]]
    assert encoder.batches == [[5, 8, 6, 7]]
    for each in requests:
        assert each.vectors.tolist() == [vector_of(text) for text in each.tokens]
        assert each.failure is None


def test_a_batch_stays_within_its_tokens(encoder):
    requests = [request(8) for _ in range(6)]
    assert run(encoder, *requests) == [[0, 1, 2, 3, 4], [5]]
    encoder.batches.clear()
    # The third would make it one of three times fourteen tokens.
    assert run(encoder, request(8), request(8), request(14)) == [[0, 1], [2]]
    assert encoder.batches == [[8, 8], [14]]


def test_texts_of_other_lengths_wait_for_a_batch_of_their_own(encoder):
    short, long = request(2), request(2 + JOIN_TOKENS + 1)
    assert run(encoder, short, long) == [[0], [1]]
    assert encoder.batches == [[2], [2 + JOIN_TOKENS + 1]]


def test_a_short_question_waits_for_a_batch_or_two(encoder):
    first, second, question = request(*[38] * 50), request(*[38] * 50), request(2)
    rounds = Rounds(encoder)
    rounds.add(first)
    rounds.add(second)
    assert rounds.encode_next() == []
    rounds.add(question)
    assert rounds.encode_next() == [question]
    assert encoder.batches == [[38], [2]]


def test_large_requests_are_finished_one_after_the_other(encoder):
    finished = run(encoder, request(*[20] * 50), request(*[20] * 50))
    assert [index for index, ended in enumerate(finished) if ended] == [24, 49]


def test_no_request_waits_for_ever(encoder):
    """Short ones come all the time; the oldest gets every other round."""
    large, rounds = request(*[38] * 10), Rounds(encoder)
    rounds.add(large)
    count = 0
    while count < 30 and large.left:
        rounds.add(request(2))
        rounds.encode_next()
        count += 1
    assert count == 19


def test_room_in_a_batch_is_given_to_the_others(encoder):
    """Five texts of eight tokens are a batch."""
    assert run(encoder, request(8, 8), request(*[8] * 6)) == [[0], [1]]
    assert encoder.batches == [[8] * 5, [8] * 3]


def test_a_longer_text_that_does_not_fit_leaves_room_for_shorter_ones(encoder):
    assert run(encoder, request(10, 10), request(14, 10, 9, 9), request(10)) == [[0], [2], [1]]
    assert encoder.batches == [[10, 10, 10, 9], [10, 14], [9]]


def test_a_failure_concerns_the_batch_alone(encoder):
    rounds = Rounds(encoder)
    hit, hit_too, spared = request(*[8] * 4), request(8, 30), request(38)
    for each in (hit, hit_too, spared):
        rounds.add(each)
    encoder.broken = MemoryError("no room")
    assert rounds.encode_next() == [hit, hit_too]
    assert hit.failure == hit_too.failure == "MemoryError: no room"
    encoder.broken = None
    assert rounds.encode_next() == [spared]
    assert spared.failure is None
    assert not rounds
