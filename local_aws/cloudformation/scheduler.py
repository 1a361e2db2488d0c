"""Runs work in the order of its dependencies, and independent work at the same time."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)

# The work is mostly waiting for answers.
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
        dependencies: The keys that must be done first, by key. Keys that are not in the mapping
            count as done. Without cycles.
        work: Called in several threads.
        stop_at_failure: Whether nothing else starts after a failure. If not, only keys that
            depend on the failed one are skipped.
        on_failure: Called in the calling thread after each failure.

    Returns:
        The exceptions of the keys that failed. Skipped keys are not in it.
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
    """The sorted keys that depend on each other in a circle."""
    left = {key: {d for d in needs if d in dependencies} for key, needs in dependencies.items()}
    while True:
        free = {key for key, needs in left.items() if not needs}
        if not free:
            return sorted(left)
        left = {key: needs - free for key, needs in left.items() if key not in free}
