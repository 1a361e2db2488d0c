"""Workers and the process that encodes for them: who gets which answer, and how each ends."""

from __future__ import annotations

import math
import os
import struct
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import Pipe
from multiprocessing.connection import Client
from queue import SimpleQueue

import numpy as np
import pytest

from container.encoder import process as encoder_process
from container.encoder.process import EncoderServer, _is_running
from container.encoder.remote import LARGE_AT_ONCE, RemoteEncoder
from container.encoder.shared import listen, shake_hands
from container.errors import BusyError, ExpiredError


class Running:
    """An encoder server in a thread."""

    def __init__(self, encoder, address, *owners):
        self.encoder, self.address = encoder, address
        self._thread = threading.Thread(
            target=EncoderServer(encoder, listen(address), owners).run, daemon=True
        )
        self._thread.start()

    def worker(self):
        shared = shake_hands(self.address)
        return RemoteEncoder(self.encoder.config, self.encoder.tokenizer_file, shared)

    def ended(self):
        self._thread.join(10)
        return not self._thread.is_alive()


@pytest.fixture
def running(counting, tmp_path, monkeypatch):
    monkeypatch.setattr(encoder_process, "CHECK_SECONDS", 0.01)
    return Running(counting, str(tmp_path / "socket"))


def test_a_worker_encodes_as_the_process_itself(running):
    worker = running.worker()
    texts = ["hello world", "", "a b c " * 30, "é"]
    found = worker.encode(texts)
    assert (found.dtype, found.flags.writeable) == (np.float32, True)
    np.testing.assert_array_equal(found, running.encoder.encode(texts))
    assert worker.encode([]).shape == (0, 32)
    assert (worker.device, worker.runtime, worker.config.dimension) == ("cpu", "counting", 32)


def test_workers_that_ask_together_get_their_own_answers(running):
    def ask(number):
        worker = running.worker()
        texts = [f"{letter} hello" for letter in "abcdefgh"[: number % 8 + 1]] * (number + 1)
        expected = running.encoder.encode(texts)
        right.put(all((worker.encode(texts) == expected).all() for _ in range(20)))

    right = SimpleQueue()
    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    assert all(right.get(timeout=30) for _ in threads)


def test_a_failed_batch_is_reported_and_the_next_is_encoded(running):
    worker = running.worker()
    running.encoder.broken = MemoryError("no room")
    with pytest.raises(RuntimeError, match="MemoryError: no room"):
        worker.encode(["hello"])
    running.encoder.broken = None
    assert worker.encode(["hello"]).shape == (1, 32)


@pytest.mark.parametrize(
    "message",
    [b"", b"abc", struct.pack("d", 0), struct.pack("di", 0, 0), struct.pack("d2i", 0, -1, 5),
     struct.pack("d3i", 0, 1, 3, 5), struct.pack("d3i", 0, 2, 0, 1),
     struct.pack("d4i", 0, 2, -1, 2, 7), struct.pack("d", 0) + b"abc"],
)  # fmt: skip
def test_a_nonsensical_message_costs_its_sender_the_connection(running, message):
    worker = running.worker()
    with Client(running.address, "AF_UNIX") as stranger:
        stranger.recv_bytes()
        stranger.send_bytes(message)
        with pytest.raises(EOFError):
            stranger.recv_bytes()
    assert worker.encode(["hello"]).shape == (1, 32)


def test_a_worker_that_leaves_while_it_waits_delays_nobody(running):
    worker = running.worker()
    with Client(running.address, "AF_UNIX") as gone:
        gone.recv_bytes()
        texts, length = 10_000, 40
        numbers = np.full(1 + texts + texts * length, length, dtype=np.int32)
        numbers[0] = texts
        gone.send_bytes(struct.pack("d", math.inf) + numbers.tobytes())
    assert worker.encode(["hello"]).shape == (1, 32)
    before = len(running.encoder.batches)
    for _ in range(3):
        worker.encode(["hello"])
    assert len(running.encoder.batches) == before + 3


def test_work_ends_with_its_deadline(running):
    """The worker learns it, and its connection serves the next request."""
    worker, neighbour = running.worker(), running.worker()
    running.encoder.seconds = 0.05
    texts = ["hello " * 30] * 1_000
    worker.deadline = time.monotonic() + 0.3
    with ThreadPoolExecutor(1) as pool:
        large = pool.submit(worker.encode, texts)
        assert neighbour.encode(["hello"]).shape == (1, 32)
        with pytest.raises(ExpiredError, match="time_out: the time for this request is over"):
            large.result(10)
    before = len(running.encoder.batches)
    worker.deadline = math.inf
    assert worker.encode(["hello"]).shape == (1, 32)
    assert len(running.encoder.batches) == before + 1, "nothing was left of the large request"


def test_a_request_that_comes_too_late_is_not_encoded(running):
    worker = running.worker()
    worker.deadline = time.monotonic() - 1
    with pytest.raises(ExpiredError):
        worker.encode(["hello"])
    assert running.encoder.batches == []


def test_only_some_workers_hold_large_requests(running):
    """Locks belong to processes; that of one that ends is free again."""
    workers = [running.worker() for _ in range(LARGE_AT_ONCE + 1)]
    held = []
    for worker in workers[:LARGE_AT_ONCE]:
        started, ended = Pipe()
        process = os.fork()
        if not process:
            with worker.large_request():
                ended.send(True)
                time.sleep(60)
        held.append(process)
        assert started.recv()
    try:
        with pytest.raises(BusyError, match="busy: "), workers[-1].large_request():
            pass
        os.kill(held[0], 9)
        os.waitpid(held.pop(0), 0)
        for _ in range(2):
            with workers[-1].large_request():
                pass
    finally:
        for process in held:
            os.kill(process, 9)
            os.waitpid(process, 0)


def test_a_forked_worker_opens_its_own_connection(running):
    worker = running.worker()
    expected = worker.encode(["hello"])
    parents = worker._connection
    process = os.fork()
    if not process:
        status = 1
        try:
            right = (worker.encode(["hello"]) == expected).all()
            status = 0 if right and worker._connection is not parents else 2
        finally:
            os._exit(status)
    found = [worker.encode(["world"]) for _ in range(20)]
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
    assert all((vectors == worker.encode(["world"])).all() for vectors in found)


def test_it_ends_after_a_while_alone(running, monkeypatch):
    worker = running.worker()
    worker.encode(["hello"])
    monkeypatch.setattr(encoder_process, "LONELY_SECONDS", 0.05)
    assert worker.encode(["hello"]).shape == (1, 32), "it stays while a worker is connected"
    del worker
    assert running.ended()


def test_it_ends_with_its_owner_even_while_connected(counting, tmp_path, monkeypatch):
    monkeypatch.setattr(encoder_process, "CHECK_SECONDS", 0.01)
    owner = os.posix_spawn(
        sys.executable, [sys.executable, "-c", "import time; time.sleep(60)"], os.environ
    )
    running = Running(counting, str(tmp_path / "socket"), os.getpid(), owner)
    worker = running.worker()
    lost = SimpleQueue()
    worker.watch(lost.put)
    assert worker.encode(["hello"]).shape == (1, 32)
    os.kill(owner, 9)
    # It stays a zombie until then.
    assert running.ended()
    os.waitpid(owner, 0)
    assert not _is_running(owner)
    assert lost.get(timeout=10) == "the encoder process has ended"
