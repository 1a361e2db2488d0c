"""Entries of a corpus as vectors for an index of Amazon S3 Vectors, in lines ready to be put there.

What the lines hold is agreed in contract/vector_index.py, which this image does not have.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from container.encoder.base import TextEncoder
from container.search.nearest import normalized
from container.search.passages import Passages
from container.search.selection import Vectors
from container.search.terms import key, terms
from container.search.texts import WindowTexts, categories, window_texts, without_markup
from container.search.views import SEARCHED, Ranking, View
from container.serving.responses import dumps, finite, record_error_json
from corpus.entry import EntryChecker
from corpus.errors import CorpusError, Problems, StopReading
from corpus.json_text import line_records
from corpus.reader import Entry

# AWS writes 40 KB and 2 KB, which may mean 1,024 bytes or 1,000.
MAX_METADATA_BYTES = 40_000
MAX_FILTERABLE_BYTES = 2_000
# An entry's lines; all of an answer are 6,553,500 at most.
MAX_ENTRY_BYTES = 5_500_000
MOST_COUNTED = 255
_TERM_BITS = 0xFF_FFFF


@dataclass(frozen=True, slots=True)
class EntryLines:
    """Lines of a corpus, whatever is in them. `first_line` is the number of the first, from 1."""

    first_line: int
    lines: list[str]


class Piece(NamedTuple):
    """One vector of an entry: the texts whose mean it is, and its passage of the answer."""

    texts: tuple[int, ...]
    passage: str | None


@dataclass(frozen=True, slots=True)
class _TextSettings:
    ranking: Ranking
    query_prefix: str
    passage_prefix: str


class EntryEncoder:
    """Encodes entries with one model for one ranking; `manifest` names both."""

    def __init__(
        self, encoder: TextEncoder, passages: Passages, manifest: Mapping[str, Any]
    ) -> None:
        model = manifest["model"]
        self._encoder = encoder
        self._passages = passages
        self._settings = _TextSettings(
            manifest["ranking"], model["query_prefix"], model["passage_prefix"]
        )

    def lines(self, group: EntryLines) -> list[bytes]:
        """A line for each vector, and one for each entry that cannot have any."""
        found = list(_read(group))
        entries = [each for each in found if isinstance(each, Entry)]
        if not entries:
            return [each for each in found if isinstance(each, bytes)]
        texts = window_texts(entries, self._settings, self._encoder.tokenize, self._passages)
        unit = normalized(finite(self._encoder.encode_tokens(texts.tokens)))
        vectors = (
            self._entry(entry, pieces, stored_terms(counts), unit)
            for entry, pieces, counts in zip(
                entries,
                _pieces(entries, texts, SEARCHED[self._settings.ranking]),
                texts.terms,
                strict=True,
            )
        )
        return [
            line
            for each in found
            for line in (next(vectors) if isinstance(each, Entry) else [each])
        ]

    def _entry(
        self, entry: Entry, pieces: Sequence[Piece], counted: str, unit: Vectors
    ) -> list[bytes]:
        filterable = {"category": given} if (given := categories(entry.fields)) else {}
        size = len(dumps(filterable))
        if size > MAX_FILTERABLE_BYTES:
            return [
                record_error_json(
                    entry.id,
                    f"its categories have {size:,} bytes; an index of S3 Vectors holds"
                    f" {MAX_FILTERABLE_BYTES:,} to filter by",
                )
            ]
        about: dict[str, Any] = {**filterable, "answer": entry.answer, "terms": counted}
        if entry.questions:
            about["questions"] = entry.questions
        if entry.fields:
            about["fields"] = json.dumps(entry.fields, ensure_ascii=False, separators=(",", ":"))
        lines = []
        for number, piece in enumerate(pieces):
            vector, means = mean(unit[list(piece.texts)])
            metadata = {**about, **means}
            if piece.passage is not None:
                metadata["passage"] = piece.passage
            size = len(dumps(metadata))
            if size > MAX_METADATA_BYTES:
                return [
                    record_error_json(
                        entry.id,
                        f"too large: its texts, with their words, have {size:,} bytes; an index of"
                        f" S3 Vectors holds {MAX_METADATA_BYTES:,} beside a vector. Divide it into"
                        " several entries",
                    )
                ]
            # The loader reads the beginning of a line: the key comes first.
            lines.append(
                dumps(
                    {
                        "key": f"{number}/{entry.id}",
                        "data": {"float32": vector},
                        "metadata": metadata,
                    }
                )
            )
        if sum(map(len, lines)) > MAX_ENTRY_BYTES:
            return [
                record_error_json(
                    entry.id,
                    f"too large: it makes {len(lines):,} vectors, each with all of its texts."
                    " Divide it into several entries",
                )
            ]
        return lines


def mean(views: Vectors) -> tuple[Vectors, dict[str, Any]]:
    """The mean of an entry's views at unit length, and what of them it does not say."""
    if len(views) == 1:
        return views[0], {}
    middle = views.mean(axis=0)
    length = np.linalg.norm(middle)
    # Question and answer; the third follows from the mean.
    scales = np.abs(views[:2]).max(axis=1) / np.float32(127)
    numbers = np.rint(views[:2] / scales[:, np.newaxis]).astype(np.int8)
    stored = scales.astype("<f4").tobytes() + numbers.tobytes()
    return middle / length, {"length": float(length), "views": b64encode(stored).decode()}


def stored_terms(counts: Mapping[str, int]) -> str:
    """The terms of an entry, with how often each stands in it."""
    numbers = [term_bits(term) << 8 | min(count, MOST_COUNTED) for term, count in counts.items()]
    return b64encode(np.array(numbers, dtype="<u4").tobytes()).decode()


def query_terms(query: str) -> list[int]:
    """The terms of a query, each once, in the form of `stored_terms`."""
    return [term_bits(term) for term in dict.fromkeys(terms(query))]


@lru_cache(100_000)
def term_bits(term: str) -> int:
    """24 bits that stand for a term."""
    return key(term) & _TERM_BITS


def _read(group: EntryLines) -> Iterator[Entry | bytes]:
    """The entries of the lines, and the answer's lines for what is not one."""
    seen: set[str] = set()
    for number, line in enumerate(group.lines, group.first_line):
        if not line.strip():
            continue
        problems = Problems("corpus")
        checker = EntryChecker(problems)
        given_id = None
        try:
            for record in line_records([(number, line)], problems):
                given_id = (record.id or "").strip() or None
                entry = checker.entry(record)
                if given_id is None:
                    problems.add(number, "no id; an index of S3 Vectors needs one for each entry")
                elif given_id in seen:
                    problems.add(number, f"duplicate id {given_id!r}; ids are unique")
                elif entry is None:
                    yield dumps({"id": given_id, "left_out": "it has no answer"})
                elif not problems.count:
                    seen.add(given_id)
                    yield entry
        except StopReading:
            pass
        if problems.count:
            yield record_error_json(given_id, _sentence(problems.error()))


def _sentence(error: CorpusError) -> str:
    return "; ".join(error.problems)


def _pieces(
    entries: Iterable[Entry], texts: WindowTexts, searched: Sequence[View]
) -> Iterator[list[Piece]]:
    """What each entry's vectors are made of, as numbers of `texts`.

    The first is of its first question and the first passage of its answer. Each further question
    stands beside that passage, and each further passage beside that question.
    """
    rows: dict[View, list[list[int]]] = {
        view: [[number] for number in texts.rows[view]] for view in searched
    }
    for view in searched:
        for place, number in texts.extras[view]:
            rows[view][place].append(number)
    for place, entry in enumerate(entries):
        spans = texts.passages[place]
        plain = without_markup(entry).answer if spans else ""
        passages: list[str | None] = [plain[start:end].strip() for start, end in spans]
        passages = passages or [None]
        views = [rows[view][place] for view in searched]
        if len(views) == 1 or not entry.questions:
            yield [
                Piece((number,), passages[n] if n < len(passages) else None)
                for n, number in enumerate(views[0])
            ]
            continue
        answers, questions, both = views
        most = max(len(answers), len(both))
        pieces = [
            Piece(
                (
                    questions[0],
                    answers[_aligned(n, most, len(answers))],
                    both[_aligned(n, most, len(both))],
                ),
                passages[_aligned(n, most, len(passages))],
            )
            for n in range(most)
        ]
        pieces[1:1] = [
            Piece((question, answers[0], both[0]), passages[0]) for question in questions[1:]
        ]
        yield pieces


def _aligned(number: int, of: int, others: int) -> int:
    """Which of the others stands where this one of so many does."""
    return round(number * (others - 1) / (of - 1)) if of > 1 else 0
