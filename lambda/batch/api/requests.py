"""The body of POST /batch; this model is the authority on it."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import ConfigDict, Field, model_validator

from rest.body import WHOLE, RequestModel, without_titles


def _documented(schema: dict[str, Any]) -> None:
    """Adds an example that works in every stage; tools would make one of all fields at once."""
    without_titles(schema)
    schema["examples"] = [{"upload": True, "merge": True}]


class BatchRequest(RequestModel):
    """Where the records are, JSON lines of `id` and `text_inputs`, and how to process them."""

    model_config = ConfigDict(json_schema_extra=_documented)

    s3_uri: str | None = Field(
        default=None,
        # 1,024 bytes of key, 63 of bucket, the scheme and the slashes.
        max_length=1100,
        pattern=r"^s3://[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9]/.*[^/]$",
        description="The file: one S3 object below the batch bucket's input/ or another location "
        "that this stage allows. It excludes upload.",
    )
    upload: bool = Field(
        default=False,
        description="Instead of s3_uri: return a URL for uploading the file, of up to 5 GB.",
    )
    client_token: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="A repeated request with the same token gives the same batch, not a new one.",
    )
    instance_count: Annotated[int, Field(ge=1), WHOLE] | None = Field(
        default=None,
        description="Instances that share the work; the stage has a default and an upper bound.",
    )
    merge: bool = Field(
        default=False,
        description="Also join all embeddings into one file, in the order of the input.",
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.s3_uri is None) != self.upload:
            raise ValueError("give either s3_uri or upload: true")
        return self
