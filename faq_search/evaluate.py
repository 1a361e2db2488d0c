"""`python -m faq_search evaluate`: retrieval quality through the REST API."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from corpus.reader import Entry, describe, file_sha256, read_corpus
from faq_search.api import FaqSearch
from faq_search.quality import (
    Outcome,
    Question,
    Scores,
    Withholding,
    ask,
    by_margin,
    by_min_score,
    hardest,
    read_paraphrases,
    scores,
)
from faq_search.results import Deployment


def evaluate(
    api: FaqSearch, corpus: Path, paraphrases: Path | None, console: Console, *, misses: int = 10
) -> dict[str, Any]:
    """Asks the corpus's own questions and the paraphrased ones; prints scores and hardest misses.

    Returns the same for JSON, with everything that was missed.

    Args:
        paraphrases: held-out questions, `question` and `id`; None asks the corpus's own alone.
        misses: how many to print of each.

    Raises:
        ValueError: `corpus` is not the corpus that is deployed, so no score would mean anything;
            or there is nothing to ask.
        CorpusError: it cannot be read.
    """
    deployed = api.endpoints()
    entries = {entry.id: entry for entry in read_corpus(corpus)}
    served = deployed.corpus_sha256
    if served != file_sha256(corpus) and served != describe(corpus).sha256:
        raise ValueError(f"{corpus} is not the corpus that is deployed; name it with --corpus.")
    sets = {}
    own: dict[str, set[str]] = {}
    for entry in entries.values():
        for question in entry.questions:
            own.setdefault(question, set()).add(entry.id)
    if own:
        sets["own"] = [Question(text, frozenset(ids)) for text, ids in own.items()]
    if paraphrases:
        sets["paraphrased"] = read_paraphrases(paraphrases, frozenset(entries))
    if not sets:
        raise ValueError(f"{corpus} has no questions; name some with --paraphrases.")
    alike = _with_same_answer(entries)
    sets = {
        name: [Question(each.text, alike(each.right_ids)) for each in questions]
        for name, questions in sets.items()
    }
    outcomes = _ask_all(api, sets, console)
    results = {name: scores(answers) for name, answers in outcomes.items()}
    console.print(_scores_table(results, deployed))
    for name, answers in outcomes.items():
        console.print(_curve_table(f"min_score, {name} questions", by_min_score(answers)))
        console.print(_curve_table(f"margin, {name} questions", by_margin(answers)))
        missed = hardest(answers, misses)
        if missed:
            console.print(_misses_table(name, missed, entries))
    return _report(deployed, results, outcomes)


def _ask_all(
    api: FaqSearch, sets: dict[str, list[Question]], console: Console
) -> dict[str, list[Outcome]]:
    with Progress(console=console, transient=True) as progress:
        outcomes = {}
        for name, questions in sets.items():
            task = progress.add_task(f"{name} questions", total=len(questions))
            outcomes[name] = ask(api, questions, partial(progress.advance, task))
    return outcomes


def _scores_table(results: dict[str, Scores], deployed: Deployment) -> Table:
    table = Table(
        "questions",
        *SCORE_COLUMNS,
        title=f"{deployed.model_id} {deployed.model_version}, bake {deployed.bake_id[:12]}",
    )
    for name, found in results.items():
        table.add_row(name, *score_cells(dataclasses.asdict(found)))
    return table


SCORE_COLUMNS = ("asked", "top-1, %", "top-3, %", "MRR (top 10)")


def score_cells(found: Mapping[str, Any]) -> tuple[str, ...]:
    """The scores as cells of a table with SCORE_COLUMNS; top-1 and top-3 with their intervals."""

    def percent(name: str) -> str:
        low, high = found[f"{name}_interval"]
        return f"{100 * found[name]:.1f} [{100 * low:.1f}, {100 * high:.1f}]"

    return (str(found["questions"]), percent("top_1"), percent("top_3"), f"{found['mrr_10']:.3f}")


def _curve_table(title: str, rows: list[Withholding]) -> Table:
    columns = ("right", "wrong", "withheld", "answered if its entry were missing")
    table = Table("limit", *columns, title=f"By {title}")
    for row in rows:
        shares = (row.right, row.wrong, row.withheld, row.without_entry)
        table.add_row(f"{row.limit:.2f}", *(f"{share:.1%}" for share in shares))
    return table


def _with_same_answer(
    entries: Mapping[str, Entry],
) -> Callable[[frozenset[str]], frozenset[str]]:
    """Adds to some ids those of the entries with the same answers, which are as right."""
    ids: dict[str, set[str]] = {}
    for entry in entries.values():
        ids.setdefault(entry.answer.strip(), set()).add(entry.id)
    return lambda right: frozenset().union(*(ids[entries[each].answer.strip()] for each in right))


def _misses_table(name: str, missed: list[Outcome], entries: dict[str, Entry]) -> Table:
    table = Table("rank", "asked", "right", "came first", title=f"Hardest {name} questions")
    for outcome in missed:
        right = min(outcome.question.right_ids)
        first = outcome.found_ids[0] if outcome.found_ids else None
        table.add_row(
            str(outcome.rank or "> 10"),
            outcome.question.text,
            _label(entries[right]),
            _label(entries[first]) if first else "nothing",
        )
    return table


def _label(entry: Entry) -> str:
    return f"{entry.id}: {entry.question or entry.answer[:80]}"


def _report(
    deployed: Deployment, results: dict[str, Scores], outcomes: dict[str, list[Outcome]]
) -> dict[str, Any]:
    return {
        "model": {"id": deployed.model_id, "version": deployed.model_version},
        "bake_id": deployed.bake_id,
        "corpus_sha256": deployed.corpus_sha256,
        "scores": {name: dataclasses.asdict(found) for name, found in results.items()},
        "by_min_score": {
            name: [dataclasses.asdict(row) for row in by_min_score(answers)]
            for name, answers in outcomes.items()
        },
        "missed": {
            name: [
                {
                    "question": outcome.question.text,
                    "right_ids": sorted(outcome.question.right_ids),
                    "found_ids": list(outcome.found_ids),
                    "rank": outcome.rank,
                }
                for outcome in hardest(answers, len(answers))
            ]
            for name, answers in outcomes.items()
        },
    }
