"""Encodes a corpus into an index, in bounded memory and with progress in the log."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from container.bake.index_writer import IndexWriter
from container.bake.settings import BakeSettings
from container.encoder.base import Encoder
from container.errors import BakeError
from container.machine import total_memory
from container.search.passages import Passages
from container.search.selection import Vectors
from container.search.texts import WindowTexts, window_texts
from container.search.views import VIEWS
from corpus.reader import CorpusInfo, Entry, iter_corpus

# Batches in a window: enough to sort texts by length, few enough for memory.
WINDOW_BATCHES = 16
SECONDS_BETWEEN_LINES = 2.0
BYTES_PER_NUMBER = 4
BATCH = "Use batch transform for a corpus of this size, since no endpoint has to hold it then"
LARGER_DISK = (
    "Set a larger bake.volume_size_gb; instance types with local storage ignore it, so choose a "
    "larger one of those"
)


def check_size(settings: BakeSettings, corpus: CorpusInfo, volume: Path) -> None:
    """Raises BakeError unless the index fits both this machine's memory and `volume`.

    An endpoint maps the index into memory. It runs on an instance like this one, so it would have
    to read an index that exceeds the memory here from its disk.
    """
    views = len(VIEWS[settings.ranking])
    size = corpus.entries * views * settings.dimension * BYTES_PER_NUMBER
    # The postings of the words take about as much as the texts.
    size += corpus.bytes * (2 if settings.store_text else 1)
    free = shutil.disk_usage(volume).free
    for limit, name, advice in (
        (total_memory(), "memory", f"{BATCH}; or choose a larger instance."),
        (free, "free disk", f"{LARGER_DISK}."),
    ):
        if size > limit:
            raise BakeError(
                f"The corpus is too large: {corpus.entries:,} entries make an index of "
                f"{size / 1e9:,.1f} GB, and this instance has {limit / 1e9:,.1f} GB of {name}. "
                f"{advice}"
            )


def encode_corpus(
    settings: BakeSettings,
    corpus_file: Path,
    entries: int,
    encoder: Encoder,
    *,
    passages: Passages,
    folder: Path,
) -> None:
    """Writes the index of `corpus_file`, which has that many `entries`, into `folder`.

    While a window is encoded, a thread writes the previous one and reads the next one, so that the
    model never waits. Three windows are in memory at a time.
    """
    windows = _windows(iter_corpus(corpus_file, corpus_file.name), settings)
    progress = _Progress(entries)
    with (
        IndexWriter(
            folder,
            entries,
            encoder.config.dimension,
            settings.ranking,
            store_text=settings.store_text,
        ) as writer,
        ThreadPoolExecutor(1, "corpus") as thread,
    ):

        def read() -> tuple[list[Entry], WindowTexts]:
            window = next(windows, [])
            return window, window_texts(window, settings, encoder.tokenize, passages)

        def write(window: list[Entry], texts: WindowTexts, vectors: Vectors) -> None:
            writer.add(window, texts, vectors)
            progress.add(len(window), len(texts.tokens))

        written: Future[None] | None = None
        window, texts = read()
        while window:
            reading = thread.submit(read)
            vectors = encoder.encode_tokens(texts.tokens)
            if written is not None:
                written.result()
            written = thread.submit(write, window, texts, vectors)
            window, texts = reading.result()
        if written is not None:
            written.result()


class _Progress:
    """Prints every few seconds, and at the end, how far the encoding has come."""

    def __init__(self, entries: int) -> None:
        self._entries = entries
        self._done = self._texts = 0
        self._started = self._printed = time.monotonic()

    def add(self, entries: int, texts: int) -> None:
        """Counts further entries, and their texts, as done."""
        self._done += entries
        self._texts += texts
        now = time.monotonic()
        if now - self._printed < SECONDS_BETWEEN_LINES and self._done < self._entries:
            return
        self._printed = now
        speed = self._texts / max(now - self._started, 1e-9)
        print(
            f"encoded {self._done:,} of {self._entries:,} "
            f"({100 * self._done // self._entries} %), {speed:,.0f} texts/s",
            flush=True,
        )


def _windows(entries: Iterable[Entry], settings: BakeSettings) -> Iterator[list[Entry]]:
    source = iter(entries)
    while window := list(islice(source, settings.batch_size * WINDOW_BATCHES)):
        yield window
