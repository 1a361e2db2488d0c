"""The bake: a training job that encodes a corpus and packs weights, index and serving code.

Everything is written to a scratch folder and moved into the model folder at the end, because
SageMaker uploads the model folder even when a job is stopped.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Never

from container.artifact import CODE, INDEX, MANIFEST, VENDOR, WEIGHTS, file_hash, sealed
from container.bake.encode_corpus import LARGER_DISK, check_size, encode_corpus
from container.bake.manifest import make_manifest
from container.bake.precision_check import check_precision
from container.bake.settings import BakeSettings
from container.bake.weights import FoundModel, find_model, write_serving_form
from container.encoder.base import Encoder
from container.encoder.load import open_encoder
from container.encoder.model_config import Precision
from container.errors import BakeError, LoadError
from container.search.index import Index
from container.search.passages import Passages
from corpus.reader import CorpusError, CorpusInfo, describe

MAX_FAILURE = 1024
# With less free, a disk counts as full. Not every library says why a write failed.
LEAST_FREE = 1 << 20
NEEDED = {
    "bf16": "a CPU with AVX512-BF16 or AMX, or a GPU of the Ampere generation or later",
    "fp16": "a GPU",
    "int8": "a CPU",
}


@dataclass(frozen=True, slots=True)
class Paths:
    """Where SageMaker puts a training job's files, below /opt/ml."""

    base: Path

    @property
    def hyperparameters(self) -> Path:
        """The job's hyperparameters, which are all strings."""
        return self.base / "input" / "config" / "hyperparameters.json"

    @property
    def model(self) -> Path:
        """What SageMaker packs into model.tar.gz."""
        return self.base / "model"

    @property
    def failure(self) -> Path:
        """The first 1,024 characters become the job's FailureReason."""
        return self.base / "output" / "failure"

    def channel(self, name: str) -> Path:
        """The folder of an input channel. Raises BakeError when it is missing."""
        folder = self.base / "input" / "data" / name
        if not folder.is_dir():
            raise BakeError(f"The training job has no channel {name!r}.")
        return folder

    def only_file(self, channel: str) -> Path:
        """The only file of a channel. Raises BakeError when there is none, or more than one."""
        folder = self.channel(channel)
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        if len(files) != 1:
            found = ", ".join(str(path.relative_to(folder)) for path in files[:10]) or "nothing"
            raise BakeError(f"The channel {channel!r} must hold one file; found {found}.")
        return files[0]


def main(code: Path) -> int:
    """Bakes; `code` is the folder with the packages container and corpus.

    Returns 0, or 1 after writing what went wrong to the failure file. Raises SystemExit when
    SageMaker stops the job.
    """
    signal.signal(signal.SIGTERM, _stop)
    paths = Paths(Path(os.environ.get("SAGEMAKER_BASE_DIR", "/opt/ml")))
    try:
        bake(paths, code)
    except SystemExit:
        _say("Stopped; the model folder is empty")
        raise
    except (BakeError, CorpusError, LoadError) as error:
        return _fail(paths, str(error))
    except MemoryError:
        return _fail(
            paths,
            "The bake ran out of memory. Choose a larger bake instance or a lower batch_size; "
            "for a very large corpus use batch transform.",
        )
    except Exception as error:
        traceback.print_exc()
        return _fail(
            paths,
            f"The bake failed unexpectedly ({type(error).__name__}: {error}). "
            "The training job's log has the details.",
        )
    return 0


def bake(paths: Paths, code: Path) -> None:
    """Reads the job's inputs and leaves the finished artifact in the model folder."""
    settings = BakeSettings.read(paths.hyperparameters)
    found = _read_corpus(settings, paths)
    with _scratch(paths) as scratch:
        artifact = scratch / "artifact"
        _copy_code(code, paths, artifact / CODE)
        model = find_model(
            paths.channel("weights"), scratch, settings.model_id, settings.max_seq_length
        )
        if model.config.dimension != settings.dimension:
            raise BakeError(
                f"The model's dimension is {model.config.dimension}; the settings say "
                f"{settings.dimension} for {settings.model_id}."
            )
        weights = full_weights = artifact / WEIGHTS
        if settings.precision == "int8":
            full_weights = scratch / "float"
        write_serving_form(model, full_weights)
        if settings.precision == "int8":
            _quantize(settings, found, model, full_weights, weights)
        encoder = _encoder(settings, weights, model)
        _say(
            f"Model {settings.model_id} {settings.model_version}: dimension "
            f"{model.config.dimension}, pooling {model.config.pooling} ({model.pooling_source}), "
            f"up to {model.config.max_seq_length} tokens; {encoder.runtime} on {encoder.device}"
        )
        if found:
            passages = Passages(weights / "tokenizer.json", model.config)
            encode_corpus(
                settings,
                found.file,
                found.info.entries,
                encoder,
                passages=passages,
                folder=artifact / INDEX,
            )
        manifest = make_manifest(
            settings,
            found and found.info,
            model,
            encoder,
            artifact,
            # As a GPU encodes: with the quantised weights, but in float32.
            float_encoder=(
                open_encoder(weights, model.config) if settings.precision == "int8" else None
            ),
        )
        if found and settings.precision != "fp32":
            manifest["precision_check"] = check_precision(
                settings,
                found.file,
                Index(
                    artifact / INDEX, found.info.entries, model.config.dimension, settings.ranking
                ),
                encoder,
                open_encoder(full_weights, model.config, settings.batch_size),
            )
            _say(f"Precision {settings.precision}: {manifest['precision_check']}")
        (artifact / MANIFEST).write_text(
            json.dumps(sealed(manifest), ensure_ascii=False, indent=1, sort_keys=True) + "\n",
            "utf-8",
        )
        _move(artifact, paths.model)
    _say(f"Bake {settings.bake_id} is done")


class _Corpus(NamedTuple):
    """The file to encode, and what is in it."""

    file: Path
    info: CorpusInfo


def _read_corpus(settings: BakeSettings, paths: Paths) -> _Corpus | None:
    """The corpus that was asked for, checked; `None` if the artifact is to have none."""
    if settings.corpus_sha256 is None:
        _say("No corpus: the artifact embeds texts, and entries for an index elsewhere")
        return None
    file = paths.only_file("corpus")
    found_hash = file_hash(file)
    if found_hash != settings.corpus_sha256:
        raise BakeError(
            f"The corpus is not the one that was asked for: its sha256 is {found_hash}, expected "
            f"{settings.corpus_sha256}. Deploy again; if the settings pin a version, pin it again, "
            "because the pinned sha256 is another version's."
        )
    info = replace(describe(file, file.name), sha256=found_hash, bytes=file.stat().st_size)
    _say(f"Corpus {file.name}: {info.entries:,} entries, {info.bytes:,} bytes")
    check_size(settings, info, paths.base)
    return _Corpus(file, info)


def _quantize(
    settings: BakeSettings, corpus: _Corpus | None, model: FoundModel, source: Path, target: Path
) -> None:
    """Writes the weights of `source` into `target` in eight bits."""
    if corpus is None:
        raise BakeError("The precision int8 needs a corpus: its texts show what has to be rounded.")
    encoder = open_encoder(source, model.config)
    if "int8" not in encoder.precisions():
        raise _cannot_compute(settings.precision, encoder)
    # OpenVINO is among the vendored packages.
    from container.bake import quantize  # noqa: PLC0415

    started = time.monotonic()
    tokens = quantize.usual_tokens(settings, corpus.file, corpus.info.entries, encoder)
    quantize.quantize_file(model.config, tokens, source, target)
    _say(
        f"Weights in int8: ranges from {sum(map(len, tokens)):,} tokens of {len(tokens):,} texts, "
        f"{time.monotonic() - started:.0f} s"
    )


def _encoder(settings: BakeSettings, weights: Path, model: FoundModel) -> Encoder:
    encoder = open_encoder(weights, model.config, settings.batch_size, settings.precision)
    if encoder.precision != settings.precision:
        raise _cannot_compute(settings.precision, encoder)
    return encoder


def _cannot_compute(precision: Precision, encoder: Encoder) -> BakeError:
    return BakeError(
        f"The precision {precision} needs a processor with instructions for it "
        f"({NEEDED[precision]}), which this machine ({encoder.device}) does not have. "
        'Choose another bake instance, or set model.precision = "fp32".'
    )


def _copy_code(code: Path, paths: Paths, target: Path) -> None:
    """Copies the serving code and the vendored packages that it needs in the image."""
    for package in ("container", "corpus"):
        shutil.copytree(
            code / package, target / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    for module in ("inference.py", "sitecustomize.py"):
        shutil.copyfile(code / "container" / "serving" / module, target / module)
    vendor = target / VENDOR
    with zipfile.ZipFile(paths.only_file("vendor")) as archive:
        archive.extractall(vendor)
    # Last on the path: a library that the machine already has takes precedence.
    sys.path.append(str(vendor))


@contextmanager
def _scratch(paths: Paths) -> Iterator[Path]:
    """A folder beside the model folder, if possible on the same volume.

    It is removed in any case; after an error or a stop the model folder is emptied too.
    """
    paths.base.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="scratch-", dir=paths.base))
    try:
        yield scratch
    except BaseException as error:
        full = _is_full(paths.base, error)
        _empty(paths.model)
        if full:
            raise BakeError(f"The disk is full. {LARGER_DISK}.") from error
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _is_full(folder: Path, error: BaseException) -> bool:
    """Whether `error` comes from a full disk, as `folder` has it."""
    if not isinstance(error, Exception) or isinstance(error, BakeError | CorpusError):
        return False
    full = os.strerror(errno.ENOSPC)
    return full in str(error) or shutil.disk_usage(folder).free < LEAST_FREE


def _move(artifact: Path, model: Path) -> None:
    """Moves the artifact's parts into the model folder, the manifest last.

    The folder itself stays, because in a training job it may be a mount.
    """
    model.mkdir(parents=True, exist_ok=True)
    _empty(model)
    for part in sorted(artifact.iterdir(), key=lambda path: path.name == MANIFEST):
        shutil.move(part, model / part.name)


def _empty(folder: Path) -> None:
    if not folder.is_dir():
        return
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _fail(paths: Paths, sentence: str) -> int:
    _say(f"FAILED: {sentence}")
    if len(sentence) > MAX_FAILURE:
        sentence = sentence[: MAX_FAILURE - 4] + " ..."
    paths.failure.parent.mkdir(parents=True, exist_ok=True)
    paths.failure.write_text(sentence, "utf-8")
    return 1


def _stop(number: int, _frame: object) -> Never:
    """SageMaker stops a job with SIGTERM: exits at once, but cleans up.

    Prints nothing, because the signal may have interrupted a print.
    """
    sys.exit(128 + number)


def _say(line: str) -> None:
    print(line, flush=True)
