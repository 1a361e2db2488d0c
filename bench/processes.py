"""The memory that all processes of a server hold together."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_PROC = Path("/proc")


def group_memory(group: int) -> dict[str, int]:
    """Bytes by kind of process (see `kind`) in a process group; shared pages count once."""
    found: dict[str, int] = {}
    for folder in _PROC.glob("[0-9]*"):
        try:
            _, _, rest = (folder / "stat").read_text().rpartition(")")
            if int(rest.split()[2]) != group:
                continue
            command = (folder / "cmdline").read_bytes()
            text = (folder / "smaps_rollup").read_text()
        except OSError:  # it has ended
            continue
        pss = next((line for line in text.splitlines() if line.startswith("Pss:")), "Pss: 0 kB")
        name = kind(command)
        found[name] = found.get(name, 0) + int(pss.split()[1]) * 1024
    return found


def kind(command: bytes) -> str:
    """What a process of the model server is by its command line: `server`, `encoder`, `workers`."""
    program, _, rest = command.partition(b"\0")
    if program.endswith(b"java"):
        return "server"
    return "encoder" if b"container.encoder.process" in rest else "workers"


class MemoryLog:
    """Samples of a process group's memory: time since the start and bytes by kind."""

    def __init__(self, group: int) -> None:
        self._group = group
        self._began = time.monotonic()
        self.samples: list[tuple[float, Mapping[str, int]]] = []

    def sample(self) -> None:
        """Takes one."""
        self.samples.append((time.monotonic() - self._began, group_memory(self._group)))

    @property
    def peak(self) -> int:
        """The most bytes that all processes held together."""
        return max((sum(by_kind.values()) for _, by_kind in self.samples), default=0)

    @contextmanager
    def watching(self, seconds: float) -> Iterator[None]:
        """Takes a sample now, every `seconds` while the block runs, and at its end."""
        stop = threading.Event()

        def watch() -> None:
            while not stop.wait(seconds):
                self.sample()

        self.sample()
        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            self.sample()
