"""`faq-search evaluate`: retrieval quality through the REST API."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from corpus import reader
from corpus.reader import Entry, describe, file_sha256, read_corpus
from faq_search.api import FaqSearch
from faq_search.errors import InputError
from faq_search.output import Output
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

SAMPLE: Final = Path(reader.__file__).parent / "sample/amazon_sagemaker_faq.csv"
SAMPLE_PARAPHRASES: Final = SAMPLE.with_name("paraphrases.csv")


def evaluate(
    api: FaqSearch, corpus: Path, paraphrases: Path | None, out: Output, *, misses: int = 10
) -> dict[str, Any]:
    """Asks the corpus's own questions and the paraphrased ones; prints scores and hardest misses.

    Returns the same for JSON, with everything that was missed.

    Args:
        paraphrases: held-out questions, `question` and `id`; None asks the corpus's own alone.
        out: where to print, unless it is for JSON.
        misses: how many to print of each.

    Raises:
        InputError: `corpus` is not the corpus that is deployed, so no score would mean anything;
            or there is nothing to ask.
        CorpusError: it cannot be read.
    """
    deployed = api.endpoints()
    entries = {entry.id: entry for entry in read_corpus(corpus)}
    served = deployed.corpus_sha256
    if served != file_sha256(corpus) and served != describe(corpus).sha256:
        raise InputError(f"{corpus} is not the corpus that is deployed; name it with --corpus.")
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
        raise InputError(f"{corpus} has no questions; name some with --paraphrases.")
    alike = _with_same_answer(entries)
    sets = {
        name: [Question(each.text, alike(each.right_ids)) for each in questions]
        for name, questions in sets.items()
    }
    outcomes = _ask_all(api, sets, out)
    results = {name: scores(answers) for name, answers in outcomes.items()}
    if not out.as_json:
        _print(deployed, results, outcomes, entries=entries, out=out, misses=misses)
    return _report(deployed, results, outcomes)


def _ask_all(
    api: FaqSearch, sets: dict[str, list[Question]], out: Output
) -> dict[str, list[Outcome]]:
    outcomes = {}
    for name, questions in sets.items():
        with out.progress(f"{name} questions") as move:
            outcomes[name] = ask(api, questions, move)
    return outcomes


def _print(
    deployed: Deployment,
    results: Mapping[str, Scores],
    outcomes: Mapping[str, list[Outcome]],
    *,
    entries: Mapping[str, Entry],
    out: Output,
    misses: int,
) -> None:
    title = f"{deployed.model_id} {deployed.model_version}, bake {deployed.bake_id[:12]}"
    rows = [(name, *score_cells(dataclasses.asdict(found))) for name, found in results.items()]
    out.rows(title, ("questions", *SCORE_COLUMNS), rows, key="scores")
    for name, answers in outcomes.items():
        for limit, curve in (("min_score", by_min_score(answers)), ("margin", by_margin(answers))):
            title = f"By {limit}, {name} questions"
            out.rows(title, _CURVE_COLUMNS, [*map(_curve_cells, curve)], key=f"{limit}, {name}")
        if missed := hardest(answers, misses):
            title = f"Hardest {name} questions"
            rows = [_miss_cells(each, entries) for each in missed]
            out.rows(title, ("rank", "asked", "right", "came first"), rows, key=f"missed, {name}")


SCORE_COLUMNS = ("asked", "top-1, %", "top-3, %", "MRR (top 10)")


def score_cells(found: Mapping[str, Any]) -> tuple[str, ...]:
    """The scores as cells of a table with SCORE_COLUMNS; top-1 and top-3 with their intervals."""

    def percent(name: str) -> str:
        low, high = found[f"{name}_interval"]
        return f"{100 * found[name]:.1f} [{100 * low:.1f}, {100 * high:.1f}]"

    return (str(found["questions"]), percent("top_1"), percent("top_3"), f"{found['mrr_10']:.3f}")


_CURVE_COLUMNS = ("limit", "right", "wrong", "withheld", "answered if its entry were missing")


def _curve_cells(row: Withholding) -> tuple[str, ...]:
    shares = (row.right, row.wrong, row.withheld, row.without_entry)
    return (f"{row.limit:.2f}", *(f"{share:.1%}" for share in shares))


def _with_same_answer(
    entries: Mapping[str, Entry],
) -> Callable[[frozenset[str]], frozenset[str]]:
    """Adds to some ids those of the entries with the same answers, which are as right."""
    ids: dict[str, set[str]] = {}
    for entry in entries.values():
        ids.setdefault(entry.answer.strip(), set()).add(entry.id)
    return lambda right: frozenset().union(*(ids[entries[each].answer.strip()] for each in right))


def _miss_cells(outcome: Outcome, entries: Mapping[str, Entry]) -> tuple[str, ...]:
    first = outcome.found_ids[0] if outcome.found_ids else None
    return (
        str(outcome.rank or "> 10"),
        outcome.question.text,
        _label(entries[min(outcome.question.right_ids)]),
        _label(entries[first]) if first else "nothing",
    )


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
