"""Encoding a corpus into an index, in bounded memory and with progress in the log."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from container.encoder import Encoder
from container.errors import BakeError
from container.index import IndexWriter
from container.machine import total_memory
from container.settings import BakeSettings
from corpus.reader import CorpusInfo, Entry, iter_corpus

# Entries held at a time, in batches: enough for batches of like length, little for memory.
WINDOW_BATCHES = 16
SECONDS_BETWEEN_LINES = 2.0
BYTES_PER_NUMBER = 4
ADVICE = (
    "A corpus of this size is for batch transform, which needs no endpoint that holds it; "
    "or choose a larger instance."
)


def rows_per_entry(settings: BakeSettings) -> int:
    """Vectors an entry has: one, or two where question and answer are both embedded."""
    return 2 if settings.embed == "both" else 1


def check_size(settings: BakeSettings, corpus: CorpusInfo, volume: Path) -> None:
    """Raises BakeError when the index fits neither this machine's memory nor ``volume``.

    An endpoint maps the index into memory, so an index beyond the memory here, where an instance
    like an endpoint's bakes, would be served from its disk at best.
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
    """Writes the index of ``corpus_file``, of that many entries, into ``folder``."""
    corpus = iter_corpus(corpus_file, corpus_file.name, embed=settings.embed)
    per_entry = rows_per_entry(settings)
    started = told = time.monotonic()
    done = 0
    with IndexWriter(folder, entries, encoder.config.dimension, per_entry) as writer:
        for window in _windows(corpus, settings.batch_size * WINDOW_BATCHES):
            texts = [text for entry in window for text in _texts(entry, settings)]
            writer.add([_stored(entry, settings) for entry in window], encoder.encode(texts))
            done += len(window)
            now = time.monotonic()
            if now - told >= SECONDS_BETWEEN_LINES or done == entries:
                speed = done * per_entry / max(now - started, 1e-9)
                print(
                    f"encoded {done:,} of {entries:,} ({100 * done // entries} %), "
                    f"{speed:,.0f} texts/s",
                    flush=True,
                )
                told = now


def _windows(entries: Iterable[Entry], size: int) -> Iterator[list[Entry]]:
    source = iter(entries)
    while window := list(islice(source, size)):
        yield window


def _texts(entry: Entry, settings: BakeSettings) -> list[str]:
    """The texts of an entry that are embedded.

    A stored question is compared with a question, like with like, so it has the query's prefix.
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
