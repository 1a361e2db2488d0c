"""The execution environments of one function in its current configuration."""

from __future__ import annotations

import threading
from collections.abc import Callable

from local_aws.lambda_runtime.process import WorkerProcess
from local_aws.service_errors import ApiError

# AWS allows 1000 by default; two cores gain nothing from more than this. Callers wait for a free
# worker; only reserved concurrency throttles them, as on AWS.
MAX_WORKERS = 10


class WorkerPool:
    """Idle workers, the last used one first, and a limit to their number.

    Args:
        create: Makes a worker, which the caller of `acquire` starts.
        largest: The limit of simultaneous workers.
    """

    def __init__(self, create: Callable[[], WorkerProcess], largest: int = MAX_WORKERS) -> None:
        self._create = create
        self._largest = largest
        self._free = threading.Condition()
        self._idle: list[WorkerProcess] = []
        self._busy: set[WorkerProcess] = set()
        self._starting = 0
        self._closed = False
        self._ended = False

    def acquire(self, reserved: int | None) -> tuple[WorkerProcess, bool]:
        """An idle or new worker, and whether it has to be started.

        Args:
            reserved: Reserved concurrency, if any.

        Raises:
            ApiError: The reserved concurrency is exhausted.
        """
        with self._free:
            if reserved is not None and self._in_use() >= reserved:
                raise ApiError("Rate Exceeded.", "TooManyRequestsException", 429)
            while True:
                while self._idle:
                    worker = self._idle.pop()
                    if worker.alive:
                        self._busy.add(worker)
                        return worker, False
                    worker.kill()
                if self._in_use() < self._largest:
                    break
                self._free.wait()
            self._starting += 1
        try:
            created = self._create()
        except BaseException:
            with self._free:
                self._starting -= 1
                self._free.notify()
            raise
        with self._free:
            self._starting -= 1
            self._busy.add(created)
            ended = self._ended
        if ended:
            created.kill()
        return created, True

    def release(self, worker: WorkerProcess, *, usable: bool) -> None:
        """Returns a worker; ends it if it cannot be used again."""
        with self._free:
            self._busy.discard(worker)
            keep = usable and not self._closed
            if keep:
                self._idle.append(worker)
            self._free.notify()
        if not keep:
            worker.kill()

    def retire(self) -> None:
        """Ends idle workers now and busy ones after their answers."""
        with self._free:
            self._closed = True
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.kill()

    def close(self) -> None:
        """Ends all workers at once."""
        self.retire()
        with self._free:
            self._ended = True
            busy = list(self._busy)
        for worker in busy:
            worker.kill()

    def pids(self) -> list[int]:
        """The process ids of all workers."""
        with self._free:
            return [worker.pid for worker in (*self._idle, *self._busy)]

    def _in_use(self) -> int:
        return len(self._busy) + self._starting
