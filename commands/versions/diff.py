"""What a deploy would change in the corpus."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from commands.versions.corpus_diff import CorpusDiff, Fingerprints, compare, fingerprints
from commands.versions.diff_report import DiffReport, listed_entries
from commands.versions.stage import Stage, Version, VersionsError
from corpus.reader import CorpusError
from stage.bake_inputs import bake_inputs
from stage.settings import Settings


def corpus_diff(stage: Stage) -> DiffReport:
    """Compares the settings' corpus with the deployed one.

    Raises VersionsError where one of them cannot be had, and CorpusError where the settings'
    corpus is none.
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
    key = stage.bakes.corpus_key(deployed.bake_id)
    if key is None:
        return _uncompared(
            stage,
            deployed,
            "the deployed bake was made by an earlier version of this app, which kept no corpus",
        )
    with tempfile.TemporaryDirectory() as folder:
        old = Path(folder) / Path(key).name
        stage.bakes.download(key, old)
        try:
            new = _new_corpus(stage, Path(folder) / "new")
        except ClientError as error:
            return _uncompared(stage, deployed, f"{settings.corpus.s3_uri} cannot be read: {error}")
        diff = compare(_deployed_fingerprints(old), fingerprints(new))
        entries = listed_entries(diff, old, new)
    return DiffReport(title, [*_ids(diff), *_encoded(stage, deployed)], diff, entries)


def _uncompared(stage: Stage, deployed: Version, why: str) -> DiffReport:
    return DiffReport(
        _title(stage),
        [f"The corpus changes. Its entries are not compared: {why}.", *_encoded(stage, deployed)],
    )


def _title(stage: Stage) -> str:
    return f"Corpus of stage {stage.settings.stage}"


def _new_corpus(stage: Stage, folder: Path) -> Path:
    """The settings' corpus as a file; one that is pinned is downloaded."""
    source = stage.settings.corpus
    if source.path is not None:
        return source.path
    bucket, _, key = str(source.s3_uri).removeprefix("s3://").partition("/")
    file = folder / Path(key).name
    folder.mkdir()
    s3: Any = stage.target.client("s3")
    s3.download_file(bucket, key, str(file), ExtraArgs={"VersionId": source.version_id})
    with file.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    if found != source.sha256:
        raise VersionsError(
            f"{source.s3_uri}, version {source.version_id}, has the sha256 {found}, and the"
            f" settings say {source.sha256}. `python -m commands.pin_corpus {source.s3_uri}` prints"
            " what belongs together."
        )
    return file


def _deployed_fingerprints(file: Path) -> Fingerprints:
    try:
        return fingerprints(file)
    except CorpusError as error:
        raise VersionsError(f"The deployed corpus cannot be read as one today:\n{error}") from error


def _ids(diff: CorpusDiff) -> list[str]:
    if not diff.moved:
        return []
    return [
        f"The file gives no ids, so an entry's id is its row: {diff.moved:,} unchanged entries"
        " get another id."
    ]


def _encoded(stage: Stage, deployed: Version) -> list[str]:
    """What the deploy encodes again, and why."""
    settings = stage.settings
    if settings.bake.reuse:
        return [f"The settings reuse the bake {settings.bake.reuse[:12]}…: nothing is encoded."]
    bake_id = bake_inputs(settings).bake_id
    if bake_id == deployed.bake_id:
        return ["Nothing is encoded again."]
    sentences = []
    as_deployed = settings.model_copy(update={"corpus_sha256": deployed.corpus_sha256})
    if bake_inputs(as_deployed).bake_id != deployed.bake_id:
        sentences.append(
            f"The {_what_else(settings, deployed)} changed too, so all is encoded again anyway."
        )
    if stage.bakes.has_finished(bake_id):
        sentences.append(f"The bake {bake_id[:12]}… exists already: no training job starts.")
    elif not sentences:
        sentences.append("A training job encodes the corpus; nothing else of the bake changes.")
    return sentences


def _what_else(settings: Settings, deployed: Version) -> str:
    model = settings.jumpstart_model
    if (model.id, model.version) != (deployed.model_id, deployed.model_version):
        return f"model ({deployed.model_id} {deployed.model_version} to {model.id} {model.version})"
    return "hyperparameters, the image or the code of the container"
