"""Runs work in the order of its dependencies, independent work at the same time."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)

# Nearly all of the work is waiting for an answer.
THREADS = 16


def run_graph(
    dependencies: Mapping[Key, set[Key]],
    work: Callable[[Key], None],
    *,
    stop_at_failure: bool,
    on_failure: Callable[[], None] = lambda: None,
) -> dict[Key, Exception]:
    """Calls `work` once for each key, after all that the key depends on.

    Args:
        dependencies: Keys that must be done first, by key. Keys not in the mapping count as
            done. Without cycles.
        work: Done in several threads.
        stop_at_failure: Whether nothing more begins after a failure. Otherwise only what
            depends on the failed key is left out.
        on_failure: Called at each failure, in the calling thread, before the rest is waited
            for.

    Returns:
        The exception of each key that failed. Keys left out are not in it.
    """
    waiting = {key: {d for d in needs if d in dependencies} for key, needs in dependencies.items()}
    running: dict[Future[None], Key] = {}
    failures: dict[Key, Exception] = {}
    with ThreadPoolExecutor(THREADS, thread_name_prefix="cloudformation") as pool:
        while True:
            if not (failures and stop_at_failure):
                for key in [key for key, needs in waiting.items() if not needs]:
                    del waiting[key]
                    running[pool.submit(work, key)] = key
            if not running:
                return failures
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                key = running.pop(future)
                error = future.exception()
                if error is None:
                    for needs in waiting.values():
                        needs.discard(key)
                elif isinstance(error, Exception):
                    failures[key] = error
                    on_failure()
                else:
                    raise error


def find_cycle(dependencies: Mapping[str, set[str]]) -> list[str]:
    """Keys that depend on each other in a circle, sorted; empty when there are none."""
    left = {key: {d for d in needs if d in dependencies} for key, needs in dependencies.items()}
    while True:
        free = {key for key, needs in left.items() if not needs}
        if not free:
            return sorted(left)
        left = {key: needs - free for key, needs in left.items() if key not in free}
