"""The settings of a stage: `config/<stage>.toml`, read into one validated model.

Every fault of a settings file, and of the corpus it names, is reported in one message, so that a
wrong file is mended in one go. Nothing here calls AWS.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from corpus.reader import CorpusError, describe
from stacks.jumpstart import JumpStartModel, Lock, read_lock

APP_NAME = "faq-search"
ROOT = Path(__file__).parent.parent
CONFIG_DIRECTORY = ROOT / "config"

Tag = Annotated[str, Field(max_length=256)]


class SettingsError(Exception):
    """The settings cannot be used; the message lists every fault and what is allowed."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Hyperparameters(_Strict):
    """What the bake is told.

    batch_size: texts encoded at once (default 64).
    max_seq_length: tokens a text is cut to; None (default) is the model's own limit.
    store_text: keep questions and answers beside the vectors (default true); without them the
        API answers with ids and scores alone.
    """

    batch_size: int = Field(64, ge=1, le=1024)
    max_seq_length: int | None = Field(None, ge=8, le=8192)
    store_text: bool = True


class ModelSettings(_Strict):
    """The JumpStart model, and which text of an entry is embedded.

    embed: `answer` as in AWS's walk-through, `question`, or `both` (an entry then scores by the
        better of its two vectors).
    """

    id: str
    embed: Literal["answer", "question", "both"] = "answer"
    hyperparameters: Hyperparameters = Hyperparameters()  # type: ignore[call-arg]


class CorpusSettings(_Strict):
    """Either a local file (`path`), or an S3 object pinned by `version_id` and `sha256`."""

    path: Path | None = None
    s3_uri: str | None = Field(None, pattern=r"^s3://[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9]/.+[^/]$")
    version_id: str | None = Field(None, min_length=1)
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        pinned = (self.s3_uri, self.version_id, self.sha256)
        if self.path is not None and any(pinned):
            raise ValueError("give either path, or s3_uri with version_id and sha256, not both")
        if self.path is None and not all(pinned):
            raise ValueError(
                "give path, or all of s3_uri, version_id and sha256"
                " (`python -m tools.pin_corpus s3://bucket/key` prints them)"
            )
        return self


class BakeSettings(_Strict):
    """The training job that encodes the corpus.

    volume_size_gb: disk of instance types without local storage, in GB (default 30).
    max_runtime_minutes: the job is stopped after this long (default 45, at most 49: the custom
        resource that waits for the job gives up after 50 minutes).
    """

    instance_type: str
    volume_size_gb: int = Field(30, ge=10, le=1024)
    max_runtime_minutes: int = Field(45, ge=5, le=49)


class EndpointSettings(_Strict):
    """One endpoint: an instance type and how many of it (default 1)."""

    instance_type: str
    instance_count: int = Field(1, ge=1, le=100)


class ApiSettings(_Strict):
    """The front door.

    auth: `api_key` (header x-api-key) or `iam` (SigV4-signed requests).
    rate_limit: requests a second, steady; burst_limit: requests at once.
    """

    auth: Literal["api_key", "iam"] = "iam"
    rate_limit: int = Field(20, ge=1, le=10_000)
    burst_limit: int = Field(40, ge=1, le=5_000)


class Settings(_Strict):
    """Everything that differs between two deployments of this app."""

    stage: str = Field(pattern=r"^[a-z][a-z0-9]{0,15}$")
    region: str
    removal_policy: Literal["destroy", "retain"]
    model: ModelSettings
    corpus: CorpusSettings
    bake: BakeSettings
    endpoints: tuple[EndpointSettings, ...] = Field(min_length=1, max_length=10)
    api: ApiSettings = ApiSettings()  # type: ignore[call-arg]
    tags: dict[str, Tag] = {}
    corpus_sha256: str
    lock: Lock

    @property
    def jumpstart_model(self) -> JumpStartModel:
        return self.lock.models[self.model.id]

    @property
    def parameter_prefix(self) -> str:
        """Of the SSM parameters that say what is deployed."""
        return f"/{APP_NAME}/{self.stage}"

    @property
    def deployment_parameter(self) -> str:
        """SSM parameter with bake id, model and corpus of what the endpoints serve, as JSON."""
        return f"{self.parameter_prefix}/deployment"

    def endpoint_name(self, instance_type: str) -> str:
        """`ml.g5.2xlarge` -> `faq-search-<stage>-g5-2xlarge`: fixed, lower case, no dots."""
        short = instance_type.removeprefix("ml.").replace(".", "-")
        return f"{APP_NAME}-{self.stage}-{short}"


def load_settings(stage: str, corpus: str | None = None, directory: str | None = None) -> Settings:
    """Reads and checks the settings of `stage`.

    corpus: a corpus file that takes the place of the one in the settings (`-c corpus=…`).
    directory: where the settings files are, default `config` (`-c config=…`).

    Raises SettingsError with one message that lists every fault.
    """
    config = ROOT / directory if directory else CONFIG_DIRECTORY
    stages = {path.stem: path for path in config.glob("*.toml")}
    if stage not in stages:
        raise SettingsError(
            f"There are no settings for stage {stage!r} in {_shown(config)};"
            f" there are: {', '.join(sorted(stages)) or 'none'}."
        )
    path = stages[stage]
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{_shown(path)} is not TOML: {error}") from error
    if corpus is not None:
        values["corpus"] = {"path": corpus}
    return check_settings(stage, values, source=_shown(path))


def check_settings(stage: str, values: dict[str, Any], source: str) -> Settings:
    """Turns the values of a settings file into Settings; see load_settings."""
    lock = read_lock()
    values, corpus_sha256, corpus_faults = _check_corpus(values)
    faults = [*_lock_faults(values, lock), *corpus_faults]
    try:
        settings = Settings(
            **{**values, "stage": stage, "corpus_sha256": corpus_sha256, "lock": lock}
        )
    except ValidationError as error:
        faults = [*_pydantic_faults(error), *faults]
    except TypeError as error:
        faults = [str(error), *faults]
    if faults:
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        listed = "\n".join(f"  - {fault}" for fault in faults)
        raise SettingsError(f"{source} cannot be used, {count}:\n{listed}")
    return settings


def _pydantic_faults(error: ValidationError) -> Iterable[str]:
    for fault in error.errors(include_url=False):
        if fault["type"] == "too_short" and fault["input"]:
            continue  # pydantic counts the right items alone; the wrong ones have their own fault
        key = ".".join(str(part) for part in fault["loc"]) or "settings"
        found = fault["input"]
        shown = "" if isinstance(found, dict) or fault["type"] == "missing" else f" ({found!r})"
        yield f"{key}{shown}: {fault['msg'].removeprefix('Value error, ')}"


def _lock_faults(values: dict[str, Any], lock: Lock) -> Iterable[str]:
    """What the JumpStart lock does not know: models, instance types, regions."""
    region = values.get("region")
    if isinstance(region, str) and region not in lock.ecr_registries:
        allowed = ", ".join(sorted(lock.ecr_registries))
        yield f"region ({region!r}): no inference image is published there; allowed: {allowed}"
    model_settings = _table(values, "model")
    model_id = model_settings.get("id")
    model = lock.models.get(model_id) if isinstance(model_id, str) else None
    if isinstance(model_id, str) and model is None:
        yield f"model.id ({model_id!r}): not in jumpstart.lock.json; it has: " + ", ".join(
            sorted(lock.models)
        )
    endpoints = values.get("endpoints")
    tables = [e for e in endpoints if isinstance(e, dict)] if isinstance(endpoints, list) else []
    wanted = [("bake.instance_type", _table(values, "bake").get("instance_type"))]
    wanted += [
        (f"endpoints.{n}.instance_type", table.get("instance_type"))
        for n, table in enumerate(tables)
    ]
    for key, instance_type in wanted:
        if model is not None and isinstance(instance_type, str):
            yield from _instance_type_faults(key, instance_type, model, lock)
    types = [table.get("instance_type") for table in tables]
    for repeated in sorted({t for t in types if isinstance(t, str) and types.count(t) > 1}):
        yield f"endpoints: {repeated} is listed twice; one endpoint serves each instance type"
    length = _table(model_settings, "hyperparameters").get("max_seq_length")
    if model is not None and isinstance(length, int) and length > model.max_seq_length:
        yield (
            f"model.hyperparameters.max_seq_length ({length}):"
            f" {model.id} reads at most {model.max_seq_length} tokens"
        )


def _instance_type_faults(
    key: str, instance_type: str, model: JumpStartModel, lock: Lock
) -> Iterable[str]:
    allowed = [t for t in model.instance_types if t not in lock.retired_instance_types]
    if instance_type in lock.retired_instance_types:
        reason = lock.retired_instance_types[instance_type]
        yield f"{key} ({instance_type!r}): {reason}; allowed: {', '.join(allowed)}"
    elif instance_type not in allowed:
        yield (
            f"{key} ({instance_type!r}): JumpStart does not offer it for {model.id};"
            f" allowed: {', '.join(allowed)}"
        )


def _check_corpus(values: dict[str, Any]) -> tuple[dict[str, Any], str, list[str]]:
    """The values with the corpus's path made absolute, its sha256, and its faults.

    A pinned object is checked by the bake instead.
    """
    table = _table(values, "corpus")
    path = table.get("path")
    if not isinstance(path, str):
        return values, str(table.get("sha256", "")), []
    file = ROOT / path
    if not file.is_file():
        return values, "", [f"corpus.path ({path!r}): there is no such file"]
    values = {**values, "corpus": {**table, "path": file}}
    try:
        info = describe(file, path, embed=_table(values, "model").get("embed", "answer"))
    except CorpusError as error:
        return values, "", list(error.faults)
    return values, info.sha256, []


def _table(values: dict[str, Any], key: str) -> dict[str, Any]:
    table = values.get(key)
    return table if isinstance(table, dict) else {}


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
