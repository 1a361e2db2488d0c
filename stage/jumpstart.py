"""What JumpStart publishes, as locked in `jumpstart.lock.json` (written by tools/refresh_lock.py).

Nothing here asks the network: a deployment changes when the lock does.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

LOCK_FILE = Path(__file__).parent.parent / "jumpstart.lock.json"
MODEL_FAMILY = "huggingface-sentencesimilarity-"
"""What the ids of all models begin with."""


def short_name(model_id: str) -> str:
    """`huggingface-sentencesimilarity-all-MiniLM-L6-v2` -> `all-MiniLM-L6-v2`."""
    return model_id.removeprefix(MODEL_FAMILY)


class _Locked(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class JumpStartModel(_Locked):
    """One sentence-similarity model.

    dimension: of its vectors. max_seq_length: tokens it reads of a text. weights_key: prefix in
    JumpStart's bucket. query_prefix, passage_prefix: what the model expects before a text.
    """

    id: str
    version: str
    dimension: int
    max_seq_length: int
    instance_types: tuple[str, ...]
    weights_key: str
    query_prefix: str = ""
    passage_prefix: str = ""


class _Registry(_Locked):
    account: str
    url_suffix: str


class _Image(_Locked):
    repository: str
    cpu_tag: str
    gpu_tag: str


class Lock(_Locked):
    """Models, the inference image and its registries by region.

    retired_instance_types: instance type -> why it is not to be used.
    """

    models: dict[str, JumpStartModel]
    image: _Image
    ecr_registries: dict[str, _Registry]
    retired_instance_types: dict[str, str]
    content_bucket: str

    def image_uri(self, region: str, *, gpu: bool) -> str:
        """The Hugging Face inference image for one processor in one region."""
        registry = self.ecr_registries[region]
        tag = self.image.gpu_tag if gpu else self.image.cpu_tag
        host = f"{registry.account}.dkr.ecr.{region}.{registry.url_suffix}"
        return f"{host}/{self.image.repository}:{tag}"

    def weights_bucket(self, region: str) -> str:
        """JumpStart's public bucket in a region."""
        return self.content_bucket.format(region=region)


@cache
def read_lock() -> Lock:
    """The lock file of this project."""
    values = json.loads(LOCK_FILE.read_text(encoding="utf-8"))
    for model_id, model in values["models"].items():
        model["id"] = model_id
    return Lock.model_validate(values)
