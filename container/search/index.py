"""The index's files: one or two vectors per entry, searched exactly by cosine similarity.

Files: `embeddings.npy` (float32 [rows, dimension], rows of unit length, those of one entry
adjacent), `entries.jsonl` (one entry a line) and `offsets.npy` (int64 [entries + 1], where each
line starts). Embeddings and entries are memory-mapped, so opening a million rows copies nothing.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from container.errors import LoadError
from container.search.nearest import Match, Vectors, nearest, normalized

EMBEDDINGS = "embeddings.npy"
ENTRIES = "entries.jsonl"
OFFSETS = "offsets.npy"


class Index:
    """An index opened for searching."""

    def __init__(self, folder: Path, entries: int, dimension: int) -> None:
        """Opens `folder`; raises LoadError unless it holds `entries` of `dimension`.

        The shape of the embeddings tells whether an entry has one row or two.
        """
        try:
            embeddings = np.load(folder / EMBEDDINGS, mmap_mode="r")
            offsets = np.load(folder / OFFSETS, mmap_mode="r")
            entry_lines = np.memmap(folder / ENTRIES, dtype=np.uint8, mode="r")
        except (OSError, ValueError, EOFError) as error:
            raise LoadError(f"the index cannot be read: {error}") from error
        if (
            embeddings.dtype != np.float32
            or embeddings.ndim != 2
            or embeddings.shape[1] != dimension
            or embeddings.shape[0] not in (entries, 2 * entries)
            or entries < 1
        ):
            raise LoadError(
                f"the index has embeddings of {embeddings.dtype} {list(embeddings.shape)}; the "
                f"manifest says {entries} entries of float32 and dimension {dimension}"
            )
        if offsets.shape != (entries + 1,) or int(offsets[-1]) != len(entry_lines):
            raise LoadError(
                f"the index's entries do not fit the manifest: {len(offsets) - 1} entries in "
                f"{len(entry_lines)} bytes; the manifest says {entries}"
            )
        # Plain arrays of the same memory: each slice of a memmap costs some microseconds.
        self.rows: Vectors = np.asarray(embeddings)
        self.rows_per_entry = len(embeddings) // entries
        self._entry_lines = np.asarray(entry_lines)
        self._offsets = np.asarray(offsets)

    def __len__(self) -> int:
        """The number of entries."""
        return len(self._offsets) - 1

    def search(self, queries: Vectors, top_k: int) -> list[list[Match]]:
        """The `top_k` best entries for each query [n, dimension], best first."""
        return nearest(normalized(queries), self.rows, top_k, self.rows_per_entry)

    def entry(self, position: int) -> dict[str, Any]:
        """The entry at `position`: `id` and, if texts are stored, `question` and `answer`."""
        start, stop = int(self._offsets[position]), int(self._offsets[position + 1])
        found: dict[str, Any] = json.loads(self._entry_lines[start:stop].tobytes())
        return found


class IndexWriter:
    """Writes an index of a known size, window by window, in bounded memory."""

    def __init__(self, folder: Path, entries: int, dimension: int, rows_per_entry: int) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        # Not a memory map: its written pages would count as this process's memory.
        self._embeddings = (folder / EMBEDDINGS).open("wb")
        np.lib.format.write_array_header_1_0(
            self._embeddings,
            {
                "descr": np.lib.format.dtype_to_descr(np.dtype(np.float32)),
                "fortran_order": False,
                "shape": (entries * rows_per_entry, dimension),
            },
        )
        self._offsets = np.zeros(entries + 1, dtype=np.int64)
        self._entries_file = (folder / ENTRIES).open("wb")
        self._entry = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._entries_file.close()
        self._embeddings.close()
        if kind is None:
            np.save(self._folder / OFFSETS, self._offsets)

    def add(self, entries: list[dict[str, Any]], vectors: Vectors) -> None:
        """Appends entries and their adjacent rows, which are scaled to unit length."""
        self._embeddings.write(normalized(vectors).data)
        for entry in entries:
            line = json.dumps(entry, ensure_ascii=False, separators=(",", ":")) + "\n"
            self._entry += 1
            written = self._entries_file.write(line.encode("utf-8"))
            self._offsets[self._entry] = self._offsets[self._entry - 1] + written
