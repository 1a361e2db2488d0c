"""Reads questions in other words than the corpus, with the ids of their right answers."""

from __future__ import annotations

import csv
from pathlib import Path

from client.evaluation import Question


def read_paraphrases(path: Path, known_ids: frozenset[str]) -> list[Question]:
    """Questions of a CSV file with the columns `question` and `id` (several: space between).

    Raises ValueError, with file and row, for a column that is missing, an empty question, or an
    id that is not among `known_ids`, the corpus's own.
    """
    questions = []
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = csv.DictReader(stream)
        missing = {"question", "id"} - set(rows.fieldnames or ())
        if missing:
            raise ValueError(f"{path}:1: no column {' and '.join(sorted(missing))}")
        for row in rows:
            where = f"{path}:{rows.line_num}"
            text, ids = (row["question"] or "").strip(), frozenset((row["id"] or "").split())
            if not text or not ids:
                raise ValueError(f"{where}: a question and at least one id are needed")
            unknown = ids - known_ids
            if unknown:
                raise ValueError(f"{where}: the corpus has no id {', '.join(sorted(unknown))}")
            questions.append(Question(text, ids))
    if not questions:
        raise ValueError(f"{path}: no questions")
    return questions
