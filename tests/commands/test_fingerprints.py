"""What differs between two corpora, entry by entry."""

from __future__ import annotations

import json
import random
import tracemalloc
from pathlib import Path

import pytest

from commands.fingerprints import CorpusDiff, compare, fingerprints
from corpus.reader import CorpusError

Rows = list[tuple[str, str | None, str]]


def write(path: Path, rows: Rows, *, ids: bool = True) -> Path:
    keys = ("id", "question", "answer")[0 if ids else 1 :]
    lines = (json.dumps(dict(zip(keys, row if ids else row[1:], strict=True))) for row in rows)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def diff(tmp_path):
    def make(old: Rows, new: Rows, *, ids: bool | tuple[bool, bool] = True) -> CorpusDiff:
        old_ids, new_ids = ids if isinstance(ids, tuple) else (ids, ids)
        before = fingerprints(write(tmp_path / "old.jsonl", old, ids=old_ids))
        return compare(before, fingerprints(write(tmp_path / "new.jsonl", new, ids=new_ids)))

    return make


A, B, C, D = (("a", "Qa", "Aa"), ("b", "Qb", "Ab"), ("c", None, "Ac"), ("d", "Qd", "Ad"))


class TestById:
    def test_the_same_is_no_difference(self, diff):
        found = diff([A, B, C], [A, B, C])
        assert (found.added, found.removed, found.changed, found.moved) == ([], [], {}, 0)
        assert (found.before, found.after, found.unchanged) == (3, 3, 3)

    def test_another_order_is_no_difference(self, diff):
        found = diff([A, B, C], [C, A, B])
        assert (found.added, found.removed, found.changed, found.moved) == ([], [], {}, 0)

    def test_added_and_removed_are_listed_by_row(self, diff):
        found = diff([A, B, C], [D, B])
        assert (found.added, found.removed, found.unchanged) == ([0], [0, 2], 1)

    @pytest.mark.parametrize(
        ("entry", "part"),
        [
            (("a", "Qa", "other"), "answer"),
            (("a", "other", "Aa"), "question"),
            (("a", None, "Aa"), "question"),
            (("a", "other", "other"), "both"),
            (("a", "Aa", "Qa"), "both"),
        ],
    )
    def test_changed_tells_which_part(self, diff, entry, part):
        found = diff([B, A], [B, entry])
        assert found.changed == {1: part}
        assert found.changed_in(part) == 1
        assert found.unchanged == 1

    def test_a_question_where_there_was_none_is_a_change(self, diff):
        assert diff([C], [("c", "new", "Ac")]).changed == {0: "question"}

    def test_only_one_file_with_ids_is_compared_by_ids(self, diff):
        found = diff([A, B], [A, B], ids=(True, False))
        assert (found.added, found.removed) == ([0, 1], [0, 1])


class TestWithoutIds:
    """An entry's id is its row, so what is put in at the top moves every id."""

    def test_one_put_in_at_the_top_is_one_added(self, diff):
        found = diff([A, B, C], [D, A, B, C], ids=False)
        assert (found.added, found.removed, found.changed) == ([0], [], {})
        assert found.moved == 3

    def test_one_taken_out_is_one_removed(self, diff):
        found = diff([A, B, C, D], [A, C, D], ids=False)
        assert (found.added, found.removed, found.changed, found.moved) == ([], [1], {}, 2)

    @pytest.mark.parametrize(
        ("entry", "part"),
        [(("", "Qb", "new"), "answer"), (("", "new", "Ab"), "question"), (("", "x", "y"), "both")],
    )
    def test_changed_in_place(self, diff, entry, part):
        found = diff([A, B, C], [A, entry, C], ids=False)
        assert (found.added, found.removed, found.changed) == ([], [], {1: part})
        assert found.moved == 0

    def test_changed_and_moved_is_found_by_its_question(self, diff):
        found = diff([A, B, D], [C, A, ("", "Qb", "new"), D], ids=False)
        assert (found.added, found.removed, found.changed) == ([0], [], {2: "answer"})
        assert found.moved == 2

    def test_a_changed_question_that_moved_is_found_by_its_answer(self, diff):
        found = diff([A, B, D], [C, A, ("", "new", "Ab"), D], ids=False)
        assert (found.added, found.removed, found.changed) == ([0], [], {2: "question"})

    def test_equal_entries_that_move_are_all_found(self, diff):
        found = diff([A, A, B, B], [B, B, A, A], ids=False)
        assert (found.added, found.removed, found.changed, found.moved) == ([], [], {}, 4)

    def test_entries_without_a_question_do_not_share_it(self, diff):
        found = diff([("", None, "one")], [A, ("", None, "two")], ids=False)
        assert found.changed == {0: "both"}  # their row is all they share
        assert found.added == [1]

    def test_equal_entries_are_paired_one_by_one(self, diff):
        found = diff([A, A, B], [A, A, A, B], ids=False)
        assert (found.added, found.removed, found.changed, found.moved) == ([2], [], {}, 1)
        found = diff([A, A, A], [B, A], ids=False)
        assert len(found.removed) == 1
        assert found.unchanged == 1

    def test_the_counts_add_up_whatever_happened(self, diff):
        chance = random.Random(7)
        for _ in range(30):
            old = [("", f"q{chance.randrange(9)}", f"a{chance.randrange(9)}") for _ in range(30)]
            new = [("", f"q{chance.randrange(9)}", f"a{chance.randrange(9)}") for _ in range(25)]
            found = diff(old, new, ids=False)
            assert found.before - len(found.removed) == found.after - len(found.added)
            assert not {*found.added} & found.changed.keys()
            assert found.moved <= found.unchanged


def test_what_is_no_corpus_is_refused(tmp_path):
    with pytest.raises(CorpusError, match="no answer"):
        fingerprints(write(tmp_path / "x.jsonl", [("a", "q", " ")]))


def test_no_texts_are_kept(tmp_path):
    rows = [(f"id-{n}", f"question {n}", "a long answer " * 100) for n in range(2000)]
    old = write(tmp_path / "old.jsonl", rows)
    new = write(tmp_path / "new.jsonl", [(i, q, f"{a}!") for i, q, a in rows])
    assert old.stat().st_size > 2.5e6
    tracemalloc.start()
    found = compare(fingerprints(old), fingerprints(new))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(found.changed) == 2000
    assert peak < 1.5e6
