"""What decides an artifact, and the id that follows from it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

from contract.vector_index import index_id
from stage.bundles import Bundle, container_bundle
from stage.instance_types import is_gpu
from stage.settings import Settings
from stage.vendor import CONTAINER_PACKAGES, vendored_bundle


@dataclass(frozen=True)
class BakeInputs:
    """Everything that decides a bake's artifact.

    hyperparameters: of the training job. code, packages: what it runs. image: its URI.
    weights_key: prefix of the model's weights in JumpStart's bucket.
    """

    hyperparameters: dict[str, str]
    code: Bundle
    packages: Bundle
    image: str
    weights_key: str

    @property
    def bake_id(self) -> str:
        """64 hex digits: the same inputs, the same id, in any stage, region or account."""
        parts = {
            "hyperparameters": self.hyperparameters,
            "weights": self.weights_key,
            "image": self.image.rpartition("/")[2],  # the same image in every region
            "code": self.code.hash,
            "packages": self.packages.hash,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def index_request(settings: Settings) -> dict[str, object]:
    """What decides the index of S3 Vectors that `settings` ask for, and its id; all but the corpus.

    The same artifact, corpus and ranking, the same id, in any stage, region or account.
    """
    bake_id = settings.bake.reuse or bake_inputs(settings).bake_id
    ranking = settings.search.baked_ranking
    return {
        "index_id": index_id(bake_id, settings.corpus_sha256, ranking),
        "bake_id": bake_id,
        "ranking": ranking,
        "dimension": settings.jumpstart_model.dimension,
    }


def bake_inputs(settings: Settings) -> BakeInputs:
    """The inputs of the bake that `settings` ask for. Raises BundleError; see vendored_bundle."""
    model, hyper = settings.jumpstart_model, settings.model.hyperparameters
    hyperparameters = {
        "model_id": model.id,
        "model_version": model.version,
        "dimension": str(model.dimension),
        "ranking": settings.search.baked_ranking,
        "batch_size": str(hyper.batch_size),
        "max_seq_length": str(hyper.max_seq_length),
        "store_text": str(hyper.store_text).lower(),
        "precision": settings.model.precision,
    }
    # Otherwise the artifact holds no corpus: what is encoded goes into an index of S3 Vectors.
    if not settings.search.has_vector_index:
        hyperparameters["corpus_sha256"] = settings.corpus_sha256
    if model.query_prefix:
        hyperparameters["query_prefix"] = model.query_prefix
    if model.passage_prefix:
        hyperparameters["passage_prefix"] = model.passage_prefix
    return BakeInputs(
        hyperparameters,
        code=container_bundle(),
        packages=vendored_bundle(CONTAINER_PACKAGES),
        image=settings.lock.image_uri(settings.region, gpu=is_gpu(settings.bake.instance_type)),
        weights_key=model.weights_key,
    )
