"""Writes an index window by window; see `container.search.index` for its files.

Memory grows with the number of entries, by some 60 bytes each at the end, and not with their texts
or vectors.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from container.bake.lexical_writer import LexicalWriter
from container.errors import BakeError
from container.search.arrays import ArrayFile, header
from container.search.nearest import normalized
from container.search.selection import Vectors
from container.search.terms import key
from container.search.texts import WindowTexts, categories
from container.search.views import VIEWS
from corpus.reader import Entry


class IndexWriter:
    """Writes an index of a known number of entries for a ranking.

    Without `store_text`, no text of an entry is written, and nothing else of it but its id.
    """

    def __init__(
        self, folder: Path, entries: int, dimension: int, ranking: str, *, store_text: bool = True
    ) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._store_text = store_text
        self._entries = entries
        self._entry = 0
        self._views = VIEWS[ranking]
        self._row_bytes = 4 * dimension
        self._open = ExitStack()
        self._embeddings = self._open.enter_context((folder / "embeddings.npy").open("wb"))
        head = header(np.dtype(np.float32), (len(self._views), entries, dimension))
        self._embeddings.write(head)
        self._head_bytes = len(head)
        self._extras = {
            view: (
                self._array(f"extra_{view}", np.float32, (dimension,)),
                self._array(f"extra_{view}_owners", np.int32),
            )
            for view in self._views
        }
        self._lines = self._open.enter_context((folder / "entries.jsonl").open("wb"))
        self._offsets = np.zeros(entries + 1, dtype=np.int64)
        self._answers = np.zeros(entries, dtype=np.uint64)
        self._category_keys = array("Q")
        self._category_entries = array("i")
        self._lexical = LexicalWriter(folder, entries)
        self._open.callback(self._lexical.close)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._open:
            if kind is not None:
                return
            self._lexical.finish()
            np.save(self._folder / "offsets.npy", self._offsets)
            _, first, number = np.unique(self._answers, return_index=True, return_inverse=True)
            np.save(self._folder / "same_answer.npy", first[number].astype(np.int32))
            keys = np.array(self._category_keys, dtype=np.uint64)
            order = np.argsort(keys, kind="stable")
            np.save(self._folder / "category_keys.npy", keys[order])
            entries = np.array(self._category_entries, dtype=np.int32)
            np.save(self._folder / "category_entries.npy", entries[order])

    def add(self, entries: Sequence[Entry], texts: WindowTexts, vectors: Vectors) -> None:
        """Appends entries with the vectors of their texts, which are scaled to unit length.

        Raises BakeError for NaN and infinity, which no hash would find later.
        """
        if not np.isfinite(vectors).all():
            first, last = self._entry + 1, self._entry + len(entries)
            raise BakeError(
                f"The model gave a vector that is not finite for one of the entries {first:,} to "
                f"{last:,}; its weights are broken, or too large for the precision."
            )
        unit = normalized(vectors)
        start = self._entry
        for number, view in enumerate(self._views):
            row = number * self._entries + start
            self._embeddings.seek(self._head_bytes + row * self._row_bytes)
            self._embeddings.write(unit[texts.rows[view]].data)
            rows, owners = self._extras[view]
            if texts.extras[view]:
                places, chosen = zip(*texts.extras[view], strict=True)
                rows.append(unit[list(chosen)])
                owners.append(np.array(places) + start)
        self._lexical.add(texts.terms)
        for entry, passages in zip(entries, texts.passages, strict=True):
            self._add_entry(entry, passages)

    def _add_entry(self, entry: Entry, passages: Sequence[tuple[int, int]]) -> None:
        number = self._entry
        self._entry += 1
        digest = hashlib.blake2b(entry.answer.strip().encode(), digest_size=8).digest()
        self._answers[number] = int.from_bytes(digest, "little")
        for name in categories(entry.fields):
            self._category_keys.append(key(name))
            self._category_entries.append(number)
        stored: dict[str, Any] = {"id": entry.id}
        if self._store_text:
            stored |= {"question": entry.question, "answer": entry.answer}
            stored |= {"fields": entry.fields} if entry.fields else {}
            stored |= {"passages": passages} if passages else {}
        line = json.dumps(stored, ensure_ascii=False, separators=(",", ":")) + "\n"
        written = self._lines.write(line.encode("utf-8"))
        self._offsets[number + 1] = self._offsets[number] + written

    def _array(self, name: str, dtype: type, row: tuple[int, ...] = ()) -> ArrayFile:
        return self._open.enter_context(ArrayFile(self._folder / f"{name}.npy", dtype, row))
