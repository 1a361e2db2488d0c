"""Checks that an index of reduced precision answers as well as one of float32 would.

The corpus is not encoded twice. Queries for a sample of entries are searched in the finished index;
its best candidates are then encoded in float32 and ranked again. Scores differ by thousandths, so
an entry that float32 would rank among the three best is among the ten best here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from container.bake.sample import read_entries, spread
from container.bake.settings import BakeSettings
from container.encoder.base import Encoder
from container.errors import BakeError
from container.search.index import Index
from container.search.nearest import best_entries, normalized
from container.search.selection import Vectors
from container.search.texts import view_texts, without_markup
from container.search.views import SEARCHED, VIEWS

SAMPLE = 1000
CANDIDATES = 10
TOP = 3
# Between the vectors of a text: of every text, and in int8, which leaves single texts further away,
# on average.
LEAST_WORST_COSINE = 0.999
LEAST_MEAN_COSINE = 0.99
# Without questions there are no known answers, so float32's three best count as right, and so does
# whatever scores within SAME_SCORE of the third.
LEAST_SHARE = 0.99
SAME_SCORE = 0.001


def check_precision(
    settings: BakeSettings,
    corpus_file: Path,
    index: Index,
    encoder: Encoder,
    reference: Encoder,
) -> dict[str, Any]:
    """Compares `index`, made with `encoder`, to what the float32 encoder `reference` makes.

    Asks the questions of at most 1,000 entries, evenly spread. Returns their number as `sample`;
    `asked`, which is `questions` or `texts`; `top_3` by precision; and the `worst_cosine` and
    `mean_cosine` between vectors of the two encoders. With questions `top_3` is the share whose
    entry is among the three best, and must be no less than with float32. With texts it is the
    share of the three best that float32 has too, and must be at least 0.99. Raises BakeError when
    it is less, or when the worst cosine is below 0.999; in int8, when the mean is below 0.99.
    """
    positions = spread(len(index), SAMPLE)
    sample = read_entries(corpus_file, positions)
    asked = "questions" if all(entry.question for entry in sample.values()) else "texts"
    queries = [
        settings.query_prefix + (sample[own].question or sample[own].answer) for own in positions
    ]
    reduced_queries = normalized(encoder.encode(queries))
    full_queries = normalized(reference.encode(queries))
    found = [
        sorted({own, *(position for position, _ in matches)})
        for own, matches in zip(positions, index.search(reduced_queries, CANDIDATES), strict=True)
    ]
    candidates = sorted({position for each in found for position in each})
    full = _full_rows(settings, corpus_file, candidates, reference)
    reduced = {position: index.views[:, position] for position in candidates}
    searched = len(VIEWS[settings.ranking]) - len(SEARCHED[settings.ranking])
    cosines = np.concatenate(
        [
            (full_queries * reduced_queries).sum(axis=1),
            *((full[each] * reduced[each]).sum(axis=1) for each in candidates),
        ]
    )
    shares: dict[str, list[float]] = {"fp32": [], settings.precision: []}
    for number, own in enumerate(positions):
        among = found[number]
        by_full = _scores(full_queries[number], [full[each][searched:] for each in among])
        by_reduced = _scores(reduced_queries[number], [reduced[each][searched:] for each in among])
        place = among.index(own)
        if asked == "questions":
            shares["fp32"].append(_is_in_top(by_full, place))
            shares[settings.precision].append(_is_in_top(by_reduced, place))
        else:
            shares["fp32"].append(1.0)
            shares[settings.precision].append(_share_of_top(by_full, by_reduced))
    result = {
        "sample": len(positions),
        "asked": asked,
        "top_3": {name: round(float(np.mean(each)), 6) for name, each in shares.items()},
        "worst_cosine": round(float(cosines.min()), 6),
        "mean_cosine": round(float(cosines.mean()), 6),
    }
    _judge(settings, result)
    return result


def _judge(settings: BakeSettings, result: dict[str, Any]) -> None:
    top = result["top_3"]
    least = top["fp32"] if result["asked"] == "questions" else LEAST_SHARE
    kind, least_cosine = (
        ("mean", LEAST_MEAN_COSINE)
        if settings.precision == "int8"
        else ("worst", LEAST_WORST_COSINE)
    )
    cosine = result[f"{kind}_cosine"]
    if top[settings.precision] >= least and cosine >= least_cosine:
        return
    what = (
        f"top-3 accuracy over {result['sample']} questions of the corpus is"
        if result["asked"] == "questions"
        else f"the share of float32's three best over {result['sample']} texts of the corpus is"
    )
    raise BakeError(
        f"The precision {settings.precision} is not good enough for this corpus: {what} "
        f"{top[settings.precision]:.4f} with {settings.precision} (at least {least:.4f} is needed, "
        f"as with fp32), and the {kind} cosine to fp32 is {cosine:.5f} "
        f'(at least {least_cosine} is needed). Set model.precision = "fp32".'
    )


def _is_in_top(scores: Vectors, place: int) -> float:
    return float((scores > scores[place]).sum() < TOP)


def _share_of_top(by_full: Vectors, by_reduced: Vectors) -> float:
    count = min(TOP, len(by_full))
    least = np.sort(by_full)[-count] - SAME_SCORE
    return float((by_full[np.argsort(-by_reduced)[:count]] >= least).mean())


def _full_rows(
    settings: BakeSettings, corpus_file: Path, positions: list[int], reference: Encoder
) -> dict[int, Vectors]:
    """Each entry's rows [views, dimension], encoded by the reference."""
    entries = read_entries(corpus_file, positions)
    plain = [without_markup(entries[each]) for each in positions]
    texts = [text for entry in plain for text in view_texts(entry, settings)]
    vectors = normalized(reference.encode(texts))
    rows = vectors.reshape(len(positions), len(VIEWS[settings.ranking]), vectors.shape[1])
    return dict(zip(positions, rows, strict=True))


def _scores(query: Vectors, rows: list[Vectors]) -> Vectors:
    """The score of each entry, of which `rows` holds those of the views that are searched."""
    views = np.stack(rows, axis=1)
    (found,) = best_entries(query[np.newaxis], views, len(rows))
    scores = np.empty(len(rows), dtype=np.float32)
    for position, score in found:
        scores[position] = score
    return scores
