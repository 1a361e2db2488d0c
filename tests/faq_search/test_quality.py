"""Scores of known outcomes, and held-out questions."""

from __future__ import annotations

import pytest

from faq_search.quality import (
    Outcome,
    Question,
    by_margin,
    by_min_score,
    hardest,
    read_paraphrases,
    scores,
)


def test_scores_of_known_ranks():
    def outcome(*found):
        hits = tuple((each, None, 0.5) for each in found)
        return Outcome(Question("?", frozenset({"right"})), hits)

    first, second = outcome("right", "a"), outcome("a", "right")
    fourth, missed = outcome("a", "b", "c", "right"), outcome("a", "b")
    found = scores([first, second, fourth, missed])
    assert (found.questions, found.top_1, found.top_3) == (4, 0.25, 0.5)
    assert found.mrr_10 == pytest.approx((1 + 1 / 2 + 1 / 4) / 4)
    low, high = found.top_1_interval
    assert 0 <= low < 0.25 < high <= 1
    assert hardest([first, second, fourth, missed], 2) == [missed, fourth]


def test_an_interval_narrows_with_the_number_of_questions():
    outcomes = [
        Outcome(Question("?", frozenset({"1"})), (("1" if n % 2 else "2", None, 0.5),))
        for n in range(400)
    ]
    (few_low, few_high), (low, high) = (
        scores(outcomes[:count]).top_1_interval for count in (40, 400)
    )
    # 95 % of samples of 400 coins lie within 0.5 ± 1.96 · √(0.25 / 400) = ± 0.049.
    assert (low, high) == (pytest.approx(0.451, abs=0.008), pytest.approx(0.549, abs=0.008))
    assert few_high - few_low > 2 * (high - low)


def test_what_limits_would_withhold():
    def outcome(*hits):
        return Outcome(Question("?", frozenset({"right"})), hits)

    outcomes = [
        outcome(("right", "A?", 0.9), ("x", "B?", 0.42)),
        outcome(("right", "A?", 0.6), ("y", "A?", 0.6), ("x", "B?", 0.585)),
        outcome(("x", "B?", 0.5), ("right", "A?", 0.3)),
        outcome(),
    ]
    curve = {row.limit: row for row in by_min_score(outcomes)}
    assert (curve[0.5].right, curve[0.5].wrong, curve[0.5].withheld) == (0.5, 0.25, 0.25)
    assert curve[0.5].without_entry == 2 / 3
    assert (curve[0.55].right, curve[0.55].wrong, curve[0.55].withheld) == (0.5, 0, 0.5)
    assert (curve[0.65].right, curve[0.65].without_entry) == (0.25, 0)
    assert max(curve) == 0.9
    ahead = {row.limit: row for row in by_margin(outcomes)}
    assert (ahead[0.01].right, ahead[0.01].wrong) == (0.5, 0.25)
    assert (ahead[0.02].right, ahead[0.02].wrong, ahead[0.02].withheld) == (0.25, 0.25, 0.5)


def test_any_of_several_right_answers_counts():
    hits = tuple((found, None, 0.5) for found in "xba")
    assert Outcome(Question("?", frozenset({"a", "b"})), hits).rank == 2


def test_a_paraphrase_that_several_entries_answer_has_several_rows(tmp_path):
    (tmp_path / "p.csv").write_text("question,id\nWhy?,1\nHow?,2\nWhy?,a b\n")
    known = frozenset({"1", "2", "a b"})
    assert read_paraphrases(tmp_path / "p.csv", known) == [
        Question("Why?", frozenset({"1", "a b"})),
        Question("How?", frozenset({"2"})),
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("text,id\na,1\n", "no column question"),
        ("question,id\na,9\n", ":2: the corpus has no id '9'"),
        ("question,id\na,1\n,1\n", ":3: an empty question"),
        ("question,id\na,\n", ":2: the corpus has no id ''"),
        ("question,id\n", "no questions"),
    ],
)
def test_faults_of_paraphrases_are_told(tmp_path, text, says):
    path = tmp_path / "p.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=says):
        read_paraphrases(path, frozenset({"1"}))
