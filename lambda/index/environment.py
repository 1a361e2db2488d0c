"""The functions' environment variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Environment:
    """What the deployment sets.

    Attributes:
        artifacts_bucket: holds the indexes' corpora and markers.
        batch_bucket: holds what the batches wrote.
        batch_state_machine_arn: runs batches.
        vector_bucket: holds the indexes.
        index_parameter: the SSM parameter that names the index to search.
        instance_count: of a batch.
    """

    artifacts_bucket: str
    batch_bucket: str
    batch_state_machine_arn: str
    vector_bucket: str
    index_parameter: str
    instance_count: int

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> Environment:
        """Each field from the variable of its name; raises KeyError for a missing one."""
        values = {each.name: variables[each.name.upper()] for each in fields(cls)}
        return cls(**{**values, "instance_count": int(values["instance_count"])})  # type: ignore[arg-type]
