"""The corpus of a stage in the form in which it is uploaded and baked."""

from __future__ import annotations

import hashlib
from pathlib import Path

from corpus.convert import convert
from corpus.model import read_model
from corpus.reader import describe
from stage.bundles import BUILD_DIRECTORY, ROOT
from stage.settings import Settings


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
        convert(path, file, _shown(path), format_=settings.corpus.format)
    return file


def corpus_warnings(settings: Settings) -> tuple[str, ...]:
    """What a person should look at in the settings' corpus, for their model; a line each."""
    path = settings.corpus.path
    if path is None:
        return ()
    model = read_model(settings.model.id, settings.model.hyperparameters.max_seq_length)
    return describe(path, _shown(path), format_=settings.corpus.format, model=model).warnings


def file_sha256(file: Path) -> str:
    """Of a file's bytes, in hexadecimal."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
