"""Questions that the corpus did not answer, by meaning (`make unanswered STAGE=dev`).

Reads what the front door kept where the settings have `search.keep_unanswered = true`, asks the
deployed model which questions mean the same, and writes a table: a row for each group, the one
asked most often first, beside the entry that comes nearest. It is read as a corpus is: fill in
`answer`, add the rows to the corpus, deploy.
"""

from __future__ import annotations

import argparse
import csv
import json
from base64 import b64decode
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from botocore.exceptions import ClientError

from commands.console import say
from commands.errors import CommandError
from commands.target import add_target_arguments, choose
from commands.verify.deployed import Deployed
from contract.vector_index import ANSWER, QUESTIONS, VectorIndex, entry_id_of_key
from corpus.headers import squeezed

# Further wordings become further questions of the entry; what begins with # is not read.
COLUMNS = (
    *("question", "question 2", "question 3", "answer"),
    *("# times asked", "# last asked", "# best score"),
    *("# nearest id", "# nearest question", "# nearest answer"),
)
_WORDINGS = 3
_TEXTS_AT_ONCE = 50
# From here on questions mean the same, by how a family of models spreads its cosines.
_ALIKE = 0.65
_ALIKE_CLOSE = 0.9
_CLOSE_FAMILIES = ("bge", "e5", "gte")
# What a spreadsheet would take for a formula: anybody may have asked it.
_FORMULA = tuple("=+-@＝＋－＠")  # noqa: RUF001
T = TypeVar("T")


@dataclass(frozen=True)
class Asked:
    """A question, however often it was asked in these words.

    Attributes:
        question: as it was asked last.
        best_score: of that time; None if nothing was found.
    """

    question: str
    times: int
    last: datetime
    best_score: float | None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which stage, since when, and where to write."""
    add_target_arguments(parser)
    parser.add_argument(
        "--days", type=_days, default=30, help="how far back to read (default: %(default)s)"
    )
    parser.add_argument(
        "--alike",
        type=_cosine,
        metavar="COSINE",
        help="questions at least this similar are one group, 0 to 1 (default: by the model,"
        f" {_ALIKE} or {_ALIKE_CLOSE})",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("unanswered.csv"),
        metavar="FILE",
        help="a new file (default: %(default)s)",
    )


def _days(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= 365:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days, 1 to 365")
    return int(text)


def _cosine(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return value


def run(options: argparse.Namespace) -> int:
    """Writes the file; returns the exit status."""
    stage = Deployed(*choose(options))
    if options.output.exists():
        raise CommandError(
            f"{options.output} exists, and may have been filled in. Name another file with OUTPUT=."
        )
    asked = read_questions(stage, datetime.now(UTC) - timedelta(days=options.days))
    if not asked:
        say(f"No question went unanswered in the last {options.days} days.")
        return 0
    alike = options.alike
    model = Model(stage)
    groups = group_by_meaning(model, asked, model.alike if alike is None else alike)
    write(options.output, groups, model.nearest([group[0].question for group in groups]))
    times = sum(each.times for each in asked)
    say(
        f"{options.output}: {times:,} unanswered questions of {options.days} days in"
        f" {len(groups):,} groups. Fill in the answers, add the rows to the corpus, deploy."
    )
    return 0


def read_questions(stage: Deployed, since: datetime) -> list[Asked]:
    """The unanswered questions, each wording once, the most frequent first.

    Raises:
        CommandError: the stage keeps none.
    """
    times: Counter[str] = Counter()
    latest: dict[str, Asked] = {}
    try:
        for at, question, score in sorted(_events(stage, since), key=lambda event: event[0]):
            key = squeezed(question) or question
            times[key] += 1
            latest[key] = Asked(question, times[key], at, score)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        raise CommandError(
            f"Stage {stage.settings.stage} keeps no unanswered questions. Set keep_unanswered ="
            " true in the settings' [search], deploy, and wait for questions; docs/corpus.md says"
            " what that means for privacy."
        ) from error
    return sorted(latest.values(), key=lambda each: (-each.times, each.question))


def _events(stage: Deployed, since: datetime) -> Iterator[tuple[datetime, str, float | None]]:
    for event in stage.listed(
        "logs",
        "filter_log_events",
        "events",
        logGroupName=stage.settings.names.unanswered_log_group,
        startTime=int(since.timestamp() * 1000),
    ):
        at = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
        try:
            line = json.loads(event["message"])
            yield at, line["question"], line["best_score"]
        except (ValueError, TypeError, KeyError):
            continue  # not written by the front door


class Model:
    """The deployed model and corpus, asked at the endpoint.

    The API would count, and keep, what is asked here as unanswered once more.
    """

    def __init__(self, stage: Deployed) -> None:
        self._stage = stage
        self._endpoint = next(iter(stage.endpoints))

    @property
    def alike(self) -> float:
        """The cosine from which questions mean the same."""
        name = self._stage.settings.model.id
        close = any(f"-{family}-" in name for family in _CLOSE_FAMILIES)
        return _ALIKE_CLOSE if close else _ALIKE

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        """A row of length 1 for each text."""
        found = np.concatenate(
            [
                np.asarray(self._ask(mode="embedding", text_inputs=some)["embedding"], np.float32)
                for some in _some_at_once(texts)
            ]
        )
        vectors: np.ndarray = found / np.linalg.norm(found, axis=1, keepdims=True)
        return vectors

    def nearest(self, texts: Sequence[str]) -> list[dict[str, Any] | None]:
        """The best hit for each text, however low it scores."""
        if self._stage.settings.search.has_vector_index:
            return self._nearest_in_index(texts)
        words = {} if self._stage.settings.search.ranking != "vectors" else {"lexical": False}
        return [
            hits[0] if hits else None
            for some in _some_at_once(texts)
            for hits in self._ask(mode="search", queries=some, top_k=1, **words)["results"]
        ]

    def _nearest_in_index(self, texts: Sequence[str]) -> list[dict[str, Any] | None]:
        """As `nearest`, by vectors alone, where S3 Vectors holds the corpus."""
        names, client = self._stage.settings.names, self._stage.client
        parameter = client("ssm").get_parameter(Name=names.index_parameter)["Parameter"]
        index = VectorIndex.from_json(parameter["Value"])
        hits: list[dict[str, Any] | None] = []
        for some in _some_at_once(texts):
            for vector in self._ask(mode="queries", queries=some)["vectors"]:
                found = client("s3vectors").query_vectors(
                    vectorBucketName=index.vector_bucket,
                    indexName=index.index_id,
                    queryVector={"float32": np.frombuffer(b64decode(vector), "<f4").tolist()},
                    topK=1,
                    returnMetadata=True,
                )["vectors"]
                hits.append(_entry(found[0]) if found else None)
        return hits

    def _ask(self, **request: Any) -> dict[str, Any]:
        try:
            return self._stage.ask(self._endpoint, request)[0]
        except ClientError as error:
            raise CommandError(
                f"The deployed model groups the questions, and its endpoint {self._endpoint} does"
                f" not answer: {error} If it is switched off: make on"
            ) from error


def _entry(vector: Mapping[str, Any]) -> dict[str, Any]:
    metadata = vector["metadata"]
    return {
        "id": entry_id_of_key(vector["key"]),
        "question": next(iter(metadata.get(QUESTIONS, ())), None),
        "answer": metadata[ANSWER],
    }


def _some_at_once(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[n : n + _TEXTS_AT_ONCE] for n in range(0, len(items), _TEXTS_AT_ONCE))


def group_by_meaning(model: Model, asked: Sequence[Asked], alike: float) -> list[list[Asked]]:
    """Groups around the most frequent wordings, the group that was asked most often first.

    Args:
        alike: the least cosine similarity to the first of a group.
    """
    vectors = model.vectors([each.question for each in asked])
    groups: list[list[Asked]] = []
    leaders = np.empty_like(vectors)
    for each, vector in zip(asked, vectors, strict=True):
        similar = leaders[: len(groups)] @ vector
        if groups and similar.max() >= alike:
            groups[int(similar.argmax())].append(each)
        else:
            leaders[len(groups)] = vector
            groups.append([each])
    return sorted(groups, key=lambda group: -sum(each.times for each in group))


def write(
    file: Path, groups: Sequence[Sequence[Asked]], nearest: Sequence[dict[str, Any] | None]
) -> None:
    """A row for each group: its most frequent wordings, and the entry nearest to the first."""
    # With a mark, since spreadsheets take UTF-8 without one for something else.
    with file.open("x", encoding="utf-8-sig", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(COLUMNS)
        for group, hit in zip(groups, nearest, strict=True):
            wordings = [each.question for each in group[:_WORDINGS]]
            newest = max(group, key=lambda each: each.last)
            score = group[0].best_score
            entry = hit or {}
            rows.writerow(
                (
                    *map(_cell, wordings),
                    *[""] * (_WORDINGS - len(wordings)),
                    "",
                    sum(each.times for each in group),
                    newest.last.date().isoformat(),
                    "" if score is None else f"{score:.2f}",
                    *(_cell(entry.get(key) or "") for key in ("id", "question", "answer")),
                )
            )


def _cell(text: str) -> str:
    """In one line, and nothing that a spreadsheet would run."""
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return f"'{text}" if text.startswith(_FORMULA) else text
