"""Refreshes `jumpstart.lock.json`: `python -m tools.refresh_lock`.

Reads JumpStart's public manifest, the specifications it names, and the SageMaker SDK's tables of
images and regions, and compares the result with the SDK's own look-ups; the environment of
requirements/walkthrough.txt has the SDK. What JumpStart and the SDK publish is rewritten; what is
kept by hand stays: dimension, prefixes and the rest of the model cards, and the retired instance
types. The layout of manifest and specifications is the one the SDK reads; it is unverified against
the live manifest. Without a network nothing is changed.
"""

from __future__ import annotations

import argparse
import copy
import datetime
import json
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from http.client import HTTPException
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, unquote

import botocore.session
from botocore.exceptions import BotoCoreError
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from tools.sdk_lookups import disagreements
from tools.sdk_tables import SdkTables, TablesError, read_tables

LOCK_FILE = Path(__file__).parent.parent / "jumpstart.lock.json"
FAMILY = "huggingface-sentencesimilarity-"
# The image that container/ is written and tested for; raising it is a change of code.
TRANSFORMERS, TORCH = "4.51.3", "2.6.0"
DEFAULT_REGION = "us-west-2"
TIMEOUT_SECONDS = 30.0

Fetch = Callable[[str], bytes]
Lock = dict[str, Any]
T = TypeVar("T")


class RefreshError(Exception):
    """The lock cannot be refreshed; the message says why."""


class Header(BaseModel):
    """One version of a model in the manifest."""

    model_id: str
    version: str
    spec_key: str


class Specification(BaseModel):
    """What this project uses of a model's specification."""

    version: str
    hosting_artifact_key: str
    hosting_prepacked_artifact_key: str | None = None
    default_inference_instance_type: str
    supported_inference_instance_types: list[str] = Field(min_length=1)
    gated_bucket: bool = False
    deprecated: bool = False


_MANIFEST = TypeAdapter(list[Header])


def refresh(
    lock: Lock, fetch: Fetch, tables: SdkTables, region: str, today: datetime.date
) -> tuple[Lock, list[str]]:
    """The refreshed lock, and remarks on what a person should look at.

    Args:
        lock: the present lock; left as it is.
        fetch: gives the bytes at an address.
        tables: of the SageMaker SDK.
        region: whose manifest is read.
        today: becomes the `read_at` of what was read.

    Raises:
        RefreshError: an address that cannot be read, or contents in another layout.
    """
    fresh = copy.deepcopy(lock)
    remarks = [*_refresh_registries(fresh, tables), *_refresh_models(fresh, fetch, region)]
    read_at = today.isoformat()
    fresh["image"] = {
        "repository": tables.image.repository,
        **{f"{p}_tag": tables.image.tag(p, TRANSFORMERS, TORCH) for p in ("cpu", "gpu")},
    }
    for part in ("content_bucket", "ecr_registries", "image"):
        fresh["sources"][part] = {"source": tables.source, "read_at": read_at}
    fresh["sources"]["ecr_registries"]["source"] += (
        "; url_suffix as botocore has it; a registry with another source names it"
    )
    fresh["sources"]["models"] = {
        "source": f"{_url(lock, region, 'models_manifest.json')}; a model with another source "
        "was not found there and is as that source had it",
        "read_at": read_at,
    }
    return fresh, remarks


def _refresh_registries(lock: Lock, tables: SdkTables) -> Iterator[str]:
    registries = lock["ecr_registries"]
    for region in sorted(registries.keys() - tables.image.registries.keys()):
        yield f"ecr_registries.{region}: not in {tables.source}; kept as it was"
    for region, account in tables.image.registries.items():
        registries[region] = {"account": account, "url_suffix": url_suffix(region)}
    for region, bucket in sorted(tables.content_buckets.items()):
        if region in registries and bucket != lock["content_bucket"].format(region=region):
            yield f"content_bucket: {tables.source} has {bucket} in {region}; the pattern is wrong"


def _refresh_models(lock: Lock, fetch: Fetch, region: str) -> Iterator[str]:
    url = _url(lock, region, "models_manifest.json")
    headers = _validated(_MANIFEST.validate_json, fetch(url), url)
    newest: dict[str, Header] = {}
    for header in headers:
        best = newest.get(header.model_id)
        if best is None or _ordinal(header.version) > _ordinal(best.version):
            newest[header.model_id] = header
    for model_id, model in lock["models"].items():
        found = newest.get(model_id)
        if found is None:
            yield f"models.{model_id}: not in the manifest of {region}; kept as it was"
            continue
        spec_url = _url(lock, region, found.spec_key)
        spec = _validated(Specification.model_validate_json, fetch(spec_url), spec_url)
        reason = _unusable(spec)
        if reason:
            yield f"models.{model_id}: {found.version} {reason}; kept as it was"
            continue
        model.update(
            version=spec.version,
            weights_key=spec.hosting_artifact_key,
            prepacked_key=spec.hosting_prepacked_artifact_key,
            default_instance_type=spec.default_inference_instance_type,
            instance_types=spec.supported_inference_instance_types,
            source=spec_url,
        )
    for model_id in sorted(newest.keys() - lock["models"].keys()):
        if model_id.startswith(FAMILY):
            yield f"{model_id}: in the manifest, not in the lock; to add it, write its model card"


def _unusable(spec: Specification) -> str | None:
    """Why a specification cannot be deployed from."""
    if spec.gated_bucket:
        return "lies in a gated bucket"
    if spec.deprecated:
        return "is deprecated"
    if not spec.hosting_artifact_key.endswith("/"):
        return f"has its weights packed, as {spec.hosting_artifact_key}, not under a prefix"
    return None


def _validated(validate: Callable[[bytes], T], content: bytes, url: str) -> T:
    try:
        return validate(content)
    except ValidationError as error:
        raise RefreshError(f"{url} is not in the layout this tool knows:\n{error}") from None


def _ordinal(version: str) -> tuple[int, ...]:
    """Orders versions by their numbers; one that is not made of numbers comes first."""
    return tuple(map(int, version.split("."))) if re.fullmatch(r"\d+(\.\d+)*", version) else ()


def _url(lock: Lock, region: str, key: str) -> str:
    bucket = lock["content_bucket"].format(region=region)
    return f"https://{bucket}.s3.{region}.{url_suffix(region)}/{quote(key)}"


@cache
def url_suffix(region: str) -> str:
    """The domain of AWS's addresses in a region, as botocore knows it."""
    partition = _session().get_partition_for_region(region)
    partitions = _session().get_component("data_loader").load_data("partitions")["partitions"]
    return next(str(p["outputs"]["dnsSuffix"]) for p in partitions if p["id"] == partition)


@cache
def _session() -> botocore.session.Session:
    return botocore.session.get_session()


def changes(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """One line for each value that differs between two locks, but for where they were read."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            if path or key != "sources":
                yield from changes(old.get(key), new.get(key), f"{path}.{key}" if path else key)
    elif old != new and not path.endswith(".source"):
        yield f"{path}: {json.dumps(old)} -> {json.dumps(new)}"


def write_lock(lock: Lock, file: Path) -> None:
    """Writes a lock with sorted keys, in one step."""
    partial = file.with_name(f".{file.name}.part")
    text = json.dumps(lock, indent=2, sort_keys=True, ensure_ascii=False)
    partial.write_text(text + "\n", encoding="utf-8")
    partial.replace(file)


def fetch_https(url: str) -> bytes:
    """The bytes at an https address.

    Raises:
        RefreshError: it cannot be reached or answers with an error.
    """
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310
            return bytes(response.read())
    except urllib.error.HTTPError as error:
        raise RefreshError(f"{url} answered {error.code} {error.reason}") from None
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise RefreshError(f"{url} cannot be reached: {reason}") from None


def main(
    arguments: Sequence[str] | None = None, *, fetch: Fetch = fetch_https, file: Path = LOCK_FILE
) -> int:
    """Refreshes the lock and prints what changed; 1 when nothing could be read."""
    parser = argparse.ArgumentParser(prog="python -m tools.refresh_lock", description=__doc__)
    parser.add_argument("--region", default=DEFAULT_REGION, help="(default: %(default)s)")
    parser.add_argument("--dry-run", action="store_true", help="print what would change")
    given = parser.parse_args(arguments)
    lock = json.loads(file.read_text(encoding="utf-8"))
    documents: dict[str, bytes] = {}

    def fetch_and_keep(url: str) -> bytes:
        key = unquote(url.removeprefix(_url(lock, given.region, "")))
        documents[key] = fetch(url)
        return documents[key]

    try:
        tables = read_tables(TRANSFORMERS, TORCH)
        today = datetime.datetime.now(datetime.UTC).date()
        fresh, remarks = refresh(lock, fetch_and_keep, tables, given.region, today)
        remarks += disagreements(
            fresh, documents, region=given.region, transformers=TRANSFORMERS, torch=TORCH
        )
    except (RefreshError, TablesError, BotoCoreError) as error:
        print(f"{error}\n{file.name} was not changed.", file=sys.stderr)
        return 1
    lines = [*changes(lock, fresh), *remarks]
    print("\n".join(lines) if lines else "Nothing has changed.")
    if not given.dry_run:
        write_lock(fresh, file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
