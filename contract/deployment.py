"""The value of the deployment parameter: what a stage serves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from contract.parameter_value import ParameterValue


@dataclass(frozen=True, slots=True)
class Deployment(ParameterValue):
    """What the endpoints serve, written once the smoke test has passed.

    `corpus_sha256` is empty where the corpus is in an index of S3 Vectors; see `VectorIndex`.
    """

    called: ClassVar[str] = "a deployment"

    bake_id: str
    model_id: str
    model_version: str
    dimension: int
    corpus_sha256: str
