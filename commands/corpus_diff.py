"""Which entries a deployment would change in the corpus (`make corpus-diff`)."""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from botocore.exceptions import ClientError

from commands.console import say, write
from commands.deployed_stage import DeployedStage
from commands.errors import CommandError
from commands.fingerprints import CorpusDiff, Fingerprints, compare, fingerprints
from commands.target import add_target_arguments, choose
from contract.deployment import Deployment
from contract.vector_index import index_id
from corpus.reader import CorpusError, Entry, file_sha256, iter_corpus
from stage.bake_inputs import bake_inputs, index_request
from stage.corpus_file import canonical_corpus
from stage.settings import Settings

LISTED = 20
"""Entries listed of each kind; the rest are counted."""
_TEXT_LENGTH = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which stage, and where to write it."""
    add_target_arguments(parser)
    parser.add_argument(
        "--markdown",
        type=Path,
        metavar="FILE",
        help="write it there as Markdown; - is standard output",
    )


def run(options: argparse.Namespace) -> int:
    """Prints or writes the comparison."""
    target, choice = choose(options)
    report = corpus_diff(DeployedStage(choice.settings, target))
    if options.markdown:
        write(report.markdown(), options.markdown)
    else:
        say(report.text())
    return 0


def corpus_diff(stage: DeployedStage) -> DiffReport:
    """Compares the settings' corpus with the deployed one.

    Raises CommandError where one of them cannot be had, and CorpusError where the settings'
    corpus is not one.
    """
    settings, deployed = stage.settings, stage.deployed()
    title = _title(stage)
    if deployed is None:
        known = settings.corpus_entries
        count = "all of its entries are" if known is None else f"all {known:,} entries are"
        return DiffReport(title, [f"Nothing is deployed yet: {count} new."])
    if deployed.corpus_sha256 == settings.corpus_sha256:
        same = f"The corpus is the one that is deployed (sha256 {deployed.corpus_sha256[:12]}…)."
        return DiffReport(title, [same, *_encoded(stage, deployed)])
    key = stage.versions.corpus_key(deployed.bake_id)
    if key is None:
        return _uncompared(
            stage,
            deployed,
            "the deployed bake was made by an earlier version of this app, which kept no corpus",
        )
    with tempfile.TemporaryDirectory() as folder:
        old = Path(folder) / Path(key).name
        stage.versions.download(key, old)
        try:
            new = _new_corpus(stage, Path(folder) / "new")
        except ClientError as error:
            return _uncompared(stage, deployed, f"{settings.corpus.s3_uri} cannot be read: {error}")
        diff = compare(_deployed_fingerprints(old), fingerprints(new))
        entries = listed_entries(diff, old, new)
    return DiffReport(title, [*_ids(diff), *_encoded(stage, deployed)], diff, entries)


def _uncompared(stage: DeployedStage, deployed: Deployment, why: str) -> DiffReport:
    return DiffReport(
        _title(stage),
        [f"The corpus changes. Its entries are not compared: {why}.", *_encoded(stage, deployed)],
    )


def _title(stage: DeployedStage) -> str:
    return f"Corpus of stage {stage.settings.stage}"


def _new_corpus(stage: DeployedStage, folder: Path) -> Path:
    """The settings' corpus as a file; one that is pinned is downloaded."""
    if (file := canonical_corpus(stage.settings)) is not None:
        return file
    source = stage.settings.corpus
    bucket, _, key = str(source.s3_uri).removeprefix("s3://").partition("/")
    file = folder / Path(key).name
    folder.mkdir()
    stage.target.client("s3").download_file(
        bucket, key, str(file), ExtraArgs={"VersionId": source.version_id}
    )
    found = file_sha256(file)
    if found != source.sha256:
        raise CommandError(
            f"{source.s3_uri}, version {source.version_id}, has the sha256 {found}, and the"
            f" settings say {source.sha256}. `python -m commands pin-corpus {source.s3_uri}`"
            " prints what belongs together."
        )
    return file


def _deployed_fingerprints(file: Path) -> Fingerprints:
    try:
        return fingerprints(file)
    except CorpusError as error:
        raise CommandError(f"The deployed corpus cannot be read as one today:\n{error}") from error


def _ids(diff: CorpusDiff) -> list[str]:
    if not diff.moved:
        return []
    return [
        f"The file gives no ids, so an entry's id is its row: {diff.moved:,} unchanged entries"
        " get another id."
    ]


def _encoded(stage: DeployedStage, deployed: Deployment) -> list[str]:
    """What the deploy encodes again, and why."""
    settings = stage.settings
    if settings.search.has_vector_index:
        return _loaded(stage, deployed)
    if settings.bake.reuse:
        return [f"The settings reuse the bake {settings.bake.reuse[:12]}…: nothing is encoded."]
    bake_id = bake_inputs(settings).bake_id
    if bake_id == deployed.bake_id:
        return ["Nothing is encoded again."]
    sentences = []
    as_deployed = settings.model_copy(update={"corpus_sha256": deployed.corpus_sha256})
    if bake_inputs(as_deployed).bake_id != deployed.bake_id:
        sentences.append(
            f"The {_what_else(settings, deployed)} changed too, so everything is encoded again"
            " anyway."
        )
    if stage.bakes.has_finished(bake_id):
        sentences.append(f"The bake {bake_id[:12]}… exists already: no training job starts.")
    elif not sentences:
        sentences.append("A training job encodes the corpus; nothing else of the bake changes.")
    return sentences


def _loaded(stage: DeployedStage, deployed: Deployment) -> list[str]:
    """The same of a stage whose corpus is in an index of S3 Vectors."""
    settings = stage.settings
    request = index_request(settings)
    wanted = str(request["index_id"])
    if wanted == deployed.bake_id:
        return ["Nothing is encoded again."]
    if stage.versions.has_finished(wanted):
        return [f"The index {wanted[:12]}… exists already and is switched to: nothing is encoded."]
    sentences = ["Batch transform encodes the corpus, and its vectors are loaded into a new index."]
    ranking = settings.search.baked_ranking
    as_deployed = index_id(str(request["bake_id"]), deployed.corpus_sha256, ranking)
    if as_deployed != deployed.bake_id:
        sentences.insert(0, f"The {_what_else(settings, deployed)} changed too.")
    return sentences


def _what_else(settings: Settings, deployed: Deployment) -> str:
    model = settings.jumpstart_model
    if (model.id, model.version) != (deployed.model_id, deployed.model_version):
        return f"model ({deployed.model_id} {deployed.model_version} to {model.id} {model.version})"
    return "hyperparameters, the image or the code of the container"


@dataclass(frozen=True)
class DiffReport:
    """What differs.

    title: of what. sentences: about the corpus as a whole and what is encoded again.
    diff: entry by entry, None where there is nothing to compare or nothing differs.
    entries: a line for each listed entry, with its sign.
    """

    title: str
    sentences: list[str]
    diff: CorpusDiff | None = None
    entries: tuple[str, ...] = ()

    def text(self) -> str:
        """For a terminal."""
        counts = [counted(self.diff)] if self.diff else []
        return "\n".join([self.title, *self.entries, *counts, *self.sentences])

    def markdown(self) -> str:
        """For a pull request: nothing that a corpus says is taken for markup or for a name."""
        parts = [f"### {self.title}"]
        if self.diff:
            parts.append(f"**{counted(self.diff)}**")
        if self.entries:
            listed = "\n".join(self.entries)
            # A fence longer than any run of backticks within.
            runs = [len(run) for run in re.findall("`+", listed)]
            fence = "`" * max(3, 1 + max(runs, default=0))
            parts.append(f"{fence}diff\n{listed}\n{fence}")
        return "\n\n".join([*parts, *self.sentences]) + "\n"


def counted(diff: CorpusDiff) -> str:
    """`2 added, 1 removed, 3 changed (…), 200 unchanged`."""
    parts = [f"{diff.changed_in(part):,} in {part}" for part in ("question", "answer", "both")]
    what = ", ".join(part for part in parts if not part.startswith("0 "))
    changed = f"{len(diff.changed):,} changed" + (f" ({what})" if what else "")
    return (
        f"{len(diff.added):,} added, {len(diff.removed):,} removed, {changed},"
        f" {diff.unchanged:,} unchanged."
    )


def listed_entries(diff: CorpusDiff, old: Path, new: Path) -> tuple[str, ...]:
    """The first entries of each kind, read from the files once more."""
    removed, added = diff.removed[:LISTED], diff.added[:LISTED]
    changed = list(diff.changed)[:LISTED]
    before, after = _entries(old, removed), _entries(new, {*added, *changed})
    lines = [f"- {_line(before[row])}" for row in removed]
    lines += _more("-", len(diff.removed))
    lines += [f"+ {_line(after[row])}" for row in added]
    lines += _more("+", len(diff.added))
    lines += [f"! {_line(after[row], diff.changed[row])}" for row in changed]
    lines += _more("!", len(diff.changed))
    return tuple(lines)


def _more(sign: str, count: int) -> list[str]:
    return [f"{sign} … and {count - LISTED:,} more"] if count > LISTED else []


def _entries(path: Path, rows: Collection[int]) -> dict[int, Entry]:
    found = {}
    for row, entry in enumerate(iter_corpus(path) if rows else ()):
        if row in rows:
            found[row] = entry
            if len(found) == len(rows):
                break
    return found


def _line(entry: Entry, part: str = "") -> str:
    where = {"": "", "both": " (question and answer)"}.get(part, f" ({part})")
    return f"{_short(entry.id)}{where}: {_short(entry.question or entry.answer)}"


def _short(text: str) -> str:
    """In one line, and nothing in it that a terminal or a reader could be led astray by."""
    text = "".join(c if c.isprintable() else " " for c in text)
    text = " ".join(text.split())
    return text if len(text) <= _TEXT_LENGTH else text[: _TEXT_LENGTH - 1] + "…"
