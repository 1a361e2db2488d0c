"""Encodes a corpus into an index, in bounded memory and with progress in the log."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

from container.bake.settings import BakeSettings
from container.encoder.base import Encoder
from container.errors import BakeError
from container.machine import total_memory
from container.search.index import IndexWriter
from container.search.nearest import Vectors
from corpus.reader import CorpusInfo, Entry, iter_corpus

# Batches in a window: enough to sort texts by length, few enough for memory.
WINDOW_BATCHES = 16
SECONDS_BETWEEN_LINES = 2.0
BYTES_PER_NUMBER = 4
ADVICE = (
    "Use batch transform for a corpus of this size, since no endpoint has to hold it then; "
    "or choose a larger instance."
)


def rows_per_entry(settings: BakeSettings) -> int:
    """Vectors per entry: one, or two if both question and answer are embedded."""
    return 2 if settings.embed == "both" else 1


def check_size(settings: BakeSettings, corpus: CorpusInfo, volume: Path) -> None:
    """Raises BakeError unless the index fits both this machine's memory and `volume`.

    An endpoint maps the index into memory. It runs on an instance like this one, so it would have
    to read an index that exceeds the memory here from its disk.
    """
    size = corpus.entries * rows_per_entry(settings) * settings.dimension * BYTES_PER_NUMBER
    size += corpus.bytes if settings.store_text else 0
    for limit, name in ((total_memory(), "memory"), (shutil.disk_usage(volume).free, "free disk")):
        if size > limit:
            raise BakeError(
                f"The corpus is too large: {corpus.entries:,} entries make an index of "
                f"{size / 1e9:,.1f} GB, and this instance has {limit / 1e9:,.1f} GB of {name}. "
                + ADVICE
            )


def encode_corpus(
    settings: BakeSettings,
    corpus_file: Path,
    entries: int,
    encoder: Encoder,
    folder: Path,
) -> None:
    """Writes the index of `corpus_file`, which has that many `entries`, into `folder`.

    While a window is encoded, a thread writes the previous one and reads the next one, so that the
    model never waits. Three windows are in memory at a time.
    """
    windows = _windows(iter_corpus(corpus_file, corpus_file.name, embed=settings.embed), settings)
    progress = _Progress(entries, rows_per_entry(settings))
    with (
        IndexWriter(folder, entries, encoder.config.dimension, rows_per_entry(settings)) as writer,
        ThreadPoolExecutor(1, "corpus") as thread,
    ):

        def read() -> tuple[list[Entry], list[list[int]]]:
            window = next(windows, [])
            texts = [text for entry in window for text in embedded_texts(entry, settings)]
            return window, encoder.tokenize(texts)

        def write(window: list[Entry], vectors: Vectors) -> None:
            writer.add([_stored(entry, settings) for entry in window], vectors)
            progress.add(len(window))

        written: Future[None] | None = None
        window, tokens = read()
        while window:
            reading = thread.submit(read)
            vectors = encoder.encode_tokens(tokens)
            if written is not None:
                written.result()
            written = thread.submit(write, window, vectors)
            window, tokens = reading.result()
        if written is not None:
            written.result()


class _Progress:
    """Prints every few seconds, and at the end, how far the encoding has come."""

    def __init__(self, entries: int, per_entry: int) -> None:
        self._entries = entries
        self._per_entry = per_entry
        self._done = 0
        self._started = self._printed = time.monotonic()

    def add(self, entries: int) -> None:
        """Counts further entries as done."""
        self._done += entries
        now = time.monotonic()
        if now - self._printed < SECONDS_BETWEEN_LINES and self._done < self._entries:
            return
        self._printed = now
        speed = self._done * self._per_entry / max(now - self._started, 1e-9)
        print(
            f"encoded {self._done:,} of {self._entries:,} "
            f"({100 * self._done // self._entries} %), {speed:,.0f} texts/s",
            flush=True,
        )


def _windows(entries: Iterable[Entry], settings: BakeSettings) -> Iterator[list[Entry]]:
    source = iter(entries)
    while window := list(islice(source, settings.batch_size * WINDOW_BATCHES)):
        yield window


def embedded_texts(entry: Entry, settings: BakeSettings) -> list[str]:
    """The texts of an entry that are embedded.

    A stored question is compared with questions, so it gets the prefix of queries.
    """
    texts = []
    if settings.embed in {"question", "both"}:
        texts.append(settings.query_prefix + (entry.question or entry.answer))
    if settings.embed in {"answer", "both"}:
        texts.append(settings.passage_prefix + entry.answer)
    return texts


def _stored(entry: Entry, settings: BakeSettings) -> dict[str, Any]:
    if settings.store_text:
        return {"id": entry.id, "question": entry.question, "answer": entry.answer}
    return {"id": entry.id}
