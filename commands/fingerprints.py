"""What differs between two corpora, entry by entry.

Texts are compared by their hashes, so memory grows with the number of entries (some 300 bytes
each, while both are held) and not with their length.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

from corpus.reader import iter_corpus

_HALF = 8  # bytes of a text's hash; an entry has two
_NO_QUESTION = bytes(_HALF)

_Key = Callable[[int], object]


@dataclass(frozen=True)
class Fingerprints:
    """A corpus without its texts: ids in the file's order, and the hashes of each entry.

    An entry's hashes are of its questions, and of its answer with its fields.

    by_row: the ids are the rows, as they are where a file gives none.
    """

    ids: Sequence[str]
    hashes: bytes
    by_row: bool

    def __len__(self) -> int:
        return len(self.ids)

    def entry(self, row: int) -> bytes:
        return self.hashes[2 * _HALF * row : 2 * _HALF * (row + 1)]

    def question(self, row: int) -> bytes:
        return self.entry(row)[:_HALF]

    def answer(self, row: int) -> bytes:
        return self.entry(row)[_HALF:]


@dataclass
class CorpusDiff:
    """Rows that differ: of the new file where it has the entry, of the old one where removed.

    changed: row of the new file -> `question`, `answer` or `both`.
    moved: entries whose text stayed and whose id did not, since the file gives no ids.
    """

    before: int = 0
    after: int = 0
    added: list[int] = field(default_factory=list)
    removed: list[int] = field(default_factory=list)
    changed: dict[int, str] = field(default_factory=dict)
    moved: int = 0

    @property
    def unchanged(self) -> int:
        return self.after - len(self.added) - len(self.changed)

    def changed_in(self, part: str) -> int:
        """How many entries changed in `question`, `answer` or `both`."""
        return sum(each == part for each in self.changed.values())


def fingerprints(path: Path) -> Fingerprints:
    """Reads a corpus once. Raises CorpusError when it cannot be used."""
    ids: list[str] = []
    hashes = bytearray()
    by_row = True
    for row, entry in enumerate(iter_corpus(path)):
        by_row = by_row and entry.id == str(row)
        ids.append(entry.id)
        hashes += _hash("\0".join(entry.questions)) if entry.questions else _NO_QUESTION
        fields = json.dumps(entry.fields, sort_keys=True) if entry.fields else ""
        hashes += _hash(entry.answer + fields)
    return Fingerprints(ids, bytes(hashes), by_row)


def compare(old: Fingerprints, new: Fingerprints) -> CorpusDiff:
    """What a deploy of `new` in the place of `old` changes.

    Entries are matched by their ids, and where neither file gives ids by their texts: a row
    inserted at the top changes one entry, though every id moves.
    """
    diff = CorpusDiff(len(old), len(new))
    if old.by_row and new.by_row:
        _compare_texts(old, new, diff)
    else:
        _compare_ids(old, new, diff)
    return diff


def _compare_ids(old: Fingerprints, new: Fingerprints, diff: CorpusDiff) -> None:
    rows = {each: row for row, each in enumerate(old.ids)}
    for row, each in enumerate(new.ids):
        before = rows.pop(each, None)
        if before is None:
            diff.added.append(row)
        elif part := _changed_part(old, before, new, row):
            diff.changed[row] = part
    diff.removed = list(rows.values())


def _compare_texts(old: Fingerprints, new: Fingerprints, diff: CorpusDiff) -> None:
    """Pairs what is the same first, then what shares a question, an answer, or its row."""
    same = {r for r in range(min(len(old), len(new))) if old.entry(r) == new.entry(r)}
    left_old = [row for row in range(len(old)) if row not in same]
    left_new = [row for row in range(len(new)) if row not in same]
    pairs, left_old, left_new = _pair(left_old, old.entry, left_new, new.entry)
    diff.moved = len(pairs)
    keys: list[tuple[_Key, _Key]] = [
        (old.question, new.question),
        (old.answer, new.answer),
        (int, int),
    ]
    for key_old, key_new in keys:
        pairs, left_old, left_new = _pair(left_old, key_old, left_new, key_new)
        for before, row in pairs:
            diff.changed[row] = _changed_part(old, before, new, row)
    diff.changed = dict(sorted(diff.changed.items()))
    diff.removed, diff.added = left_old, left_new


def _pair(
    left_old: Iterable[int], key_old: _Key, left_new: Iterable[int], key_new: _Key
) -> tuple[list[tuple[int, int]], list[int], list[int]]:
    """Pairs rows of equal keys, the first with the first; returns the pairs and what is left."""
    waiting: dict[object, int] = {}
    more: dict[object, deque[int]] = {}  # behind those; few, so that most rows need no queue
    rest_old: list[int] = []
    for row in left_old:
        key = key_old(row)
        if key == _NO_QUESTION:
            rest_old.append(row)
        elif key in waiting:
            more.setdefault(key, deque()).append(row)
        else:
            waiting[key] = row
    pairs, rest_new = [], []
    for row in left_new:
        key = key_new(row)
        before = waiting.pop(key, None)
        if before is None:
            rest_new.append(row)
            continue
        pairs.append((before, row))
        if queue := more.get(key):
            waiting[key] = queue.popleft()
    rest_old += [*waiting.values(), *(row for queue in more.values() for row in queue)]
    return pairs, sorted(rest_old), rest_new


def _changed_part(old: Fingerprints, before: int, new: Fingerprints, row: int) -> str:
    """`question`, `answer`, `both`, or nothing."""
    question = old.question(before) != new.question(row)
    answer = old.answer(before) != new.answer(row)
    if question and answer:
        return "both"
    return "question" if question else "answer" if answer else ""


def _hash(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=_HALF).digest()
