"""The settings that the function gets from its deployment, checked at the cold start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Json

from batch.api.callers import without_path
from contract.batch_objects import INPUT_PREFIX
from rest.app import CorsOrigins


def _without_paths(names: frozenset[str]) -> frozenset[str]:
    return frozenset(map(without_path, names))


# What callers are called: names of keys, ARNs, or scopes.
Callers = Annotated[Json[frozenset[str]], AfterValidator(_without_paths)]


class Environment(BaseModel):
    """The function's environment variables; wrong or missing ones fail the cold start."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    bucket: str = Field(alias="BATCH_BUCKET", min_length=1)
    state_machine_arn: str = Field(alias="STATE_MACHINE_ARN", min_length=1)
    transform_job_prefix: str = Field(alias="TRANSFORM_JOB_PREFIX", min_length=1)
    other_locations: Json[tuple[str, ...]] = Field(
        alias="INPUT_LOCATIONS",
        description="JSON list of S3 prefixes that a request may name, besides the batch bucket's",
    )
    instance_count: int = Field(alias="INSTANCE_COUNT", ge=1, description="the default")
    max_instance_count: int = Field(alias="MAX_INSTANCE_COUNT", ge=1)
    max_instances: int = Field(alias="MAX_INSTANCES", ge=1, description="of all batches")
    max_instances_per_caller: int = Field(alias="MAX_INSTANCES_PER_CALLER", ge=1)
    max_running: int = Field(alias="MAX_RUNNING", ge=1, description="batches under way")
    max_running_per_caller: int = Field(alias="MAX_RUNNING_PER_CALLER", ge=1)
    auth: str = Field(alias="API_AUTH", description="the setting api.auth")
    api_keys: Json[dict[str, str]] = Field(
        alias="API_KEYS", default={}, description="JSON object: ids of the API keys by their names"
    )
    callers: Callers = Field(alias="CALLERS", description="who may begin and stop; empty: all")
    administrators: Callers = Field(
        alias="ADMINISTRATORS", description="who may see and stop the batches of others"
    )
    cors_origins: CorsOrigins

    @property
    def locations(self) -> tuple[str, ...]:
        """The S3 prefixes that a request may name."""
        return (f"s3://{self.bucket}/{INPUT_PREFIX}", *self.other_locations)

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> Environment:
        """Checks `variables`, usually `os.environ`; pydantic's ValidationError lists all errors."""
        return cls.model_validate(dict(variables))
