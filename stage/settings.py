"""The settings of a stage: `config/<stage>.toml`, read into one validated model.

Everything that is wrong with a settings file, and with the corpus it names, stands in one message,
so that it can be put right in one go. Nothing here calls AWS.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from contract.names import STACKS, Names, StackPart
from corpus.reader import CorpusError, describe
from stage.instance_types import precisions
from stage.jumpstart import JumpStartModel, Lock, read_lock
from stage.tables import (
    AlarmSettings,
    ApiSettings,
    BakeSettings,
    BatchSettings,
    BudgetSettings,
    CiSettings,
    CorpusSettings,
    EndpointSettings,
    LogSettings,
    ModelSettings,
    NetworkSettings,
    Price,
    ScheduleSettings,
    SearchSettings,
    Table,
    Tag,
    UpdateSettings,
    corpus_format,
)

ROOT = Path(__file__).parent.parent
CONFIG_DIRECTORY = ROOT / "config"
_UNANSWERED_BELOW = 0.3
# What is split by lines, without reading all of it.
LINES_SUFFIXES = (".jsonl", ".ndjson")
_ROLE_OR_USER = re.compile(r"arn:[\w-]+:iam::\d{12}:(role|user)/\S+")
_PINNED = re.compile(
    r"(?P<s3_uri>s3://[^?]+)\?versionId=(?P<version_id>[^&]+)&sha256=(?P<sha256>[0-9a-f]{64})"
)
_RANKING_OF_EMBED = {
    "answer": 'ranking = "answer"',
    "question": 'ranking = "question"',
    "both": 'ranking = "vectors", or "hybrid" (the default) to compare words too',
}


class SettingsError(Exception):
    """The settings cannot be used; the message lists every problem and what is allowed."""


class Settings(Table):
    """Everything that differs between two deployments of this app."""

    stage: str = Field(pattern=r"^[a-z][a-z0-9]{0,15}$")
    region: str
    removal_policy: Literal["destroy", "retain"]
    model: ModelSettings
    search: SearchSettings = SearchSettings()  # type: ignore[call-arg]
    corpus: CorpusSettings
    bake: BakeSettings
    endpoints: tuple[EndpointSettings, ...] = Field(min_length=1, max_length=10)
    updates: UpdateSettings = UpdateSettings()  # type: ignore[call-arg]
    schedule: ScheduleSettings | None = None
    batch: BatchSettings = BatchSettings()  # type: ignore[call-arg]
    api: ApiSettings = ApiSettings()  # type: ignore[call-arg]
    logs: LogSettings = LogSettings()
    network: NetworkSettings = NetworkSettings()  # type: ignore[call-arg]
    alarms: AlarmSettings = AlarmSettings()  # type: ignore[call-arg]
    budget: BudgetSettings | None = None
    ci: CiSettings | None = None
    prices: dict[str, Price] = Field(default_factory=dict)
    tags: dict[str, Tag] = Field(default_factory=dict)
    corpus_sha256: str  # of a local file's canonical form; of a pinned object's bytes
    corpus_entries: int | None = None  # a pinned corpus is counted by its bake
    lock: Lock

    @model_validator(mode="after")
    def _endpoints_of_a_private_api(self) -> Self:
        if self.api.allowed_vpc_endpoints and not self.network.private_api:
            raise ValueError(
                "api.allowed_vpc_endpoints: VPC endpoints lead to private APIs only; set"
                " network.private_api"
            )
        return self

    @model_validator(mode="after")
    def _known_callers(self) -> Self:
        """What batch.callers and batch.administrators may hold depends on api.auth."""
        for key in ("callers", "administrators"):
            for name in getattr(self.batch, key):
                if self.api.auth == "api_key" and name not in self.api.key_callers:
                    known = ", ".join(sorted(self.api.key_callers))
                    raise ValueError(
                        f"batch.{key} ({name!r}): no API key is named so; there are {known}"
                    )
                if self.api.auth == "iam" and not _ROLE_OR_USER.fullmatch(name):
                    raise ValueError(
                        f"batch.{key} ({name!r}): must be the ARN of a role or a user, such as"
                        " arn:aws:iam::123456789012:role/name"
                    )
        return self

    @model_validator(mode="after")
    def _keys_without_the_internet(self) -> Self:
        jwt = self.api.jwt
        if self.network.is_private and self.api.auth == "jwt" and jwt and not jwt.jwks:
            raise ValueError(
                'network.mode = "private" needs api.jwt.jwks: from there nothing reaches the issuer'
                " to fetch its keys"
            )
        return self

    @model_validator(mode="after")
    def _zones_of_the_region(self) -> Self:
        for zone in self.network.availability_zones:
            if zone[:-1] != self.region:
                raise ValueError(f"network.availability_zones: {zone} is not in {self.region}")
        return self

    @model_validator(mode="after")
    def _what_a_vector_index_can_do(self) -> Self:
        if not self.search.has_vector_index:
            return self
        engine = 'search.engine = "s3_vectors"'
        if self.model.precision != "fp32":
            raise ValueError(
                f"model.precision ({self.model.precision!r}): with {engine} only fp32, because"
                " the bake, which compares other precisions with it, has no corpus"
            )
        if not self.model.hyperparameters.store_text:
            raise ValueError(
                f"model.hyperparameters.store_text (False): with {engine} the index holds the texts"
            )
        uri = self.corpus.s3_uri
        if uri is not None and not uri.lower().endswith(LINES_SUFFIXES):
            raise ValueError(
                f"corpus.s3_uri ({uri!r}): with {engine} a corpus in S3 is JSON lines (.jsonl);"
                " upload what `python -m corpus convert` makes of it"
            )
        return self

    @property
    def jumpstart_model(self) -> JumpStartModel:
        return self.lock.models[self.model.id]

    @property
    def max_seq_length(self) -> int:
        """Tokens that the model reads of a text."""
        return self.model.hyperparameters.max_seq_length or self.jumpstart_model.max_seq_length

    @property
    def names(self) -> Names:
        """The names of what this stage deploys."""
        return Names(self.stage)

    @property
    def stacks(self) -> tuple[StackPart, ...]:
        """The stacks of this stage, in the order in which they are deployed."""
        return tuple(p for p in STACKS if p != "Index" or self.search.has_vector_index)

    @property
    def unanswered_below(self) -> float:
        """A question whose best answer scores less counts as unanswered."""
        if self.alarms.min_score is not None:
            return self.alarms.min_score
        return self.search.min_score if self.search.min_score > -1 else _UNANSWERED_BELOW

    @property
    def batch_instance_type(self) -> str:
        return self.batch.instance_type or self.bake.instance_type


def load_settings(
    stage: str,
    corpus: str | None = None,
    directory: str | None = None,
    reuse: str | None = None,
) -> Settings:
    """Reads and checks the settings of `stage`.

    corpus: a corpus file that takes the place of the one in the settings (`-c corpus=…`), or a
        pinned object, as `s3://bucket/key?versionId=…&sha256=…`.
    directory: where the settings files are, default `config` (`-c config=…`).
    reuse: a bake id that is served without training (`-c reuse=…`).

    Raises SettingsError with one message that lists every problem.
    """
    config = ROOT / directory if directory else CONFIG_DIRECTORY
    stages = {path.stem: path for path in config.glob("*.toml")}
    if stage not in stages:
        raise SettingsError(
            f"There are no settings for stage {stage!r} in {shown_path(config)};"
            f" there are: {', '.join(sorted(stages)) or 'none'}."
        )
    path = stages[stage]
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{shown_path(path)} is not TOML: {error}") from error
    if reuse is not None:
        values["bake"] = {**_table(values, "bake"), "reuse": reuse}
    return check_settings(stage, values, source=shown_path(path), corpus=corpus)


def check_settings(
    stage: str, values: dict[str, Any], source: str, corpus: str | None = None
) -> Settings:
    """Turns the values of a settings file into Settings; see load_settings."""
    lock = read_lock()
    if corpus is not None:
        pinned = _PINNED.fullmatch(corpus)
        values = {**values, "corpus": pinned.groupdict() if pinned else {"path": corpus}}
    corpus_file = _table(values, "corpus").get("path")
    values, known, corpus_error = _check_corpus(values)
    values, renamed = _without_embed(values)
    problems = [*renamed, *_lock_problems(values, lock)]
    try:
        settings = Settings(**{**values, "stage": stage, **known, "lock": lock})
    except ValidationError as error:
        problems = [*_pydantic_problems(error), *problems]
    except TypeError as error:
        problems = [str(error), *problems]
    messages = [_message(source, problems, len(problems))] if problems else []
    if corpus_error:
        title = corpus or f"{corpus_file} (corpus.path in {source})"
        messages.append(_message(title, str(corpus_error).splitlines(), corpus_error.count))
    if messages:
        raise SettingsError("\n".join(messages))
    return settings


def _without_embed(values: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The values without `model.embed`, which earlier versions had, and what to write instead."""
    model = _table(values, "model")
    if "embed" not in model:
        return values, []
    found = model["embed"]
    instead = _RANKING_OF_EMBED.get(str(found), 'ranking = "hybrid"')
    rest = {key: value for key, value in model.items() if key != "embed"}
    problem = f"model.embed ({found!r}): replaced by the table [search]; write {instead} there"
    return {**values, "model": rest}, [problem]


def _message(file: str, problems: list[str], count: int) -> str:
    counted = "1 problem" if count == 1 else f"{count} problems"
    return "\n  - ".join([f"{file} cannot be used, {counted}:", *problems])


def _pydantic_problems(error: ValidationError) -> Iterable[str]:
    errors = error.errors(include_url=False)
    holding_others = {other["loc"][:end] for other in errors for end in range(len(other["loc"]))}
    for each in errors:
        if each["type"] == "too_short" and each["loc"] in holding_others:
            continue  # pydantic counts the right items alone; the wrong ones are listed themselves
        key, message = ".".join(map(str, each["loc"])), each["msg"].removeprefix("Value error, ")
        found = each["input"]
        shown = "" if isinstance(found, dict) or each["type"] == "missing" else f" ({found!r})"
        yield f"{key}{shown}: {message}" if key else message


def _lock_problems(values: dict[str, Any], lock: Lock) -> Iterable[str]:
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
    wanted = [
        (f"{name}.instance_type", _table(values, name).get("instance_type"))
        for name in ("bake", "batch")
    ]
    wanted += [
        (f"endpoints.{n}.instance_type", table.get("instance_type"))
        for n, table in enumerate(tables)
    ]
    for key, instance_type in wanted:
        if model is not None and isinstance(instance_type, str):
            yield from _instance_type_problems(key, instance_type, model, lock)
    types = [table.get("instance_type") for table in tables]
    for repeated in sorted({t for t in types if isinstance(t, str) and types.count(t) > 1}):
        yield f"endpoints: {repeated} is listed twice; one endpoint serves each instance type"
    bake_type = _table(values, "bake").get("instance_type")
    if model is not None and bake_type in model.instance_types:
        yield from _precision_problems(model_settings.get("precision"), bake_type)
    length = _table(model_settings, "hyperparameters").get("max_seq_length")
    if model is not None and isinstance(length, int) and length > model.max_seq_length:
        yield (
            f"model.hyperparameters.max_seq_length ({length}):"
            f" {model.id} reads at most {model.max_seq_length} tokens"
        )


def _precision_problems(precision: Any, instance_type: str) -> Iterable[str]:
    able = precisions(instance_type)
    if precision in ("bf16", "fp16", "int8") and precision not in able:
        yield (
            f"model.precision ({precision!r}): bake.instance_type {instance_type} has no"
            f" instructions for it; allowed there: {', '.join(able)}"
        )


def _instance_type_problems(
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


def _check_corpus(
    values: dict[str, Any],
) -> tuple[dict[str, Any], dict[str, Any], CorpusError | None]:
    """The values with the corpus's path made absolute, what Settings say of it, what is wrong.

    A pinned object is checked by the bake instead.
    """
    table = _table(values, "corpus")
    path = table.get("path")
    if not isinstance(path, str):
        sha256 = str(table.get("sha256", ""))
        return values, {"corpus_sha256": sha256, "corpus_entries": None}, None
    file = ROOT / path
    values = {**values, "corpus": {**table, "path": file}}
    encoding, columns = table.get("encoding"), _table(table, "map")
    format_ = corpus_format(
        encoding if isinstance(encoding, str) else None,
        {role: names for role, names in columns.items() if isinstance(names, str | list)},
    )
    try:
        info = describe(file, path, format_=format_)
    except CorpusError as error:
        return values, {"corpus_sha256": ""}, error
    return values, {"corpus_sha256": info.sha256, "corpus_entries": info.entries}, None


def _table(values: dict[str, Any], key: str) -> dict[str, Any]:
    table = values.get(key)
    return table if isinstance(table, dict) else {}


def shown_path(path: Path) -> str:
    """A file as messages name it: from the checkout's root, where it lies there."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
