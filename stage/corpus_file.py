"""The corpus of a stage in the form in which it is uploaded and baked."""

from __future__ import annotations

from pathlib import Path

from corpus.convert import convert
from corpus.model import read_model
from corpus.reader import describe, file_sha256
from stage.bundles import BUILD_DIRECTORY
from stage.settings import Settings, shown_path


def canonical_corpus(settings: Settings) -> Path | None:
    """The settings' corpus as JSON lines, named by their hash; None if it is pinned in S3.

    Whatever kind of file it comes from, the same entries make the same bytes, so that saving a
    file anew changes nothing that is deployed.
    """
    path = settings.corpus.path
    if path is None:
        return None
    file = BUILD_DIRECTORY / f"corpus-{settings.corpus_sha256[:16]}.jsonl"
    if not file.is_file() or file_sha256(file) != settings.corpus_sha256:
        convert(path, file, shown_path(path), format_=settings.corpus.format)
    return file


def corpus_warnings(settings: Settings) -> tuple[str, ...]:
    """What a person should look at in the settings' corpus, for their model; a line each."""
    path = settings.corpus.path
    if path is None:
        return ()
    model = read_model(settings.model.id, settings.model.hyperparameters.max_seq_length)
    return describe(path, shown_path(path), format_=settings.corpus.format, model=model).warnings
