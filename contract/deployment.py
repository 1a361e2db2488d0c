"""The value of the deployment parameter: what a stage serves."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields


@dataclass(frozen=True, slots=True)
class Deployment:
    """What the endpoints serve, written once the smoke test has passed.

    `corpus_sha256` is empty where the corpus is in an index of S3 Vectors; see `VectorIndex`.
    """

    bake_id: str
    model_id: str
    model_version: str
    dimension: int
    corpus_sha256: str

    @classmethod
    def from_json(cls, text: str) -> Deployment:
        """Reads the parameter's value and ignores members it does not know.

        Raises:
            ValueError: the value is not one that `to_json` writes.
        """
        try:
            members = json.loads(text)
            deployment = cls(**{field.name: members[field.name] for field in fields(cls)})
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"not a deployment: {text}") from error
        for name, value in asdict(deployment).items():
            if type(value) is not (int if name == "dimension" else str):
                raise ValueError(f"not a deployment, because of its {name}: {text}")
        return deployment

    def to_json(self) -> str:
        """The parameter's value."""
        return json.dumps(asdict(self))
