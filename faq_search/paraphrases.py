"""Reads questions in other words than the corpus, with the ids of their right answers."""

from __future__ import annotations

import csv
from pathlib import Path

from faq_search.evaluation import Question


def read_paraphrases(path: Path, known_ids: frozenset[str]) -> list[Question]:
    """Questions of a CSV file with the columns `question` and `id`.

    A question that several entries answer has a row for each. Raises ValueError, with file and
    row, for a column that is missing, an empty question, or an id that is not among `known_ids`,
    the corpus's own.
    """
    right_ids: dict[str, set[str]] = {}
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = csv.DictReader(stream)
        missing = {"question", "id"} - set(rows.fieldnames or ())
        if missing:
            raise ValueError(f"{path}:1: no column {' and '.join(sorted(missing))}")
        for row in rows:
            question, right = (row["question"] or "").strip(), (row["id"] or "").strip()
            if not question or right not in known_ids:
                found = f"the corpus has no id {right!r}" if question else "an empty question"
                raise ValueError(f"{path}:{rows.line_num}: {found}")
            right_ids.setdefault(question, set()).add(right)
    if not right_ids:
        raise ValueError(f"{path}: no questions")
    return [Question(text, frozenset(ids)) for text, ids in right_ids.items()]
