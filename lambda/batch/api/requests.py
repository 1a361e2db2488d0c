"""The body of POST /batch. This model is the authority on what it may hold."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from rest.body import WHOLE, RequestModel


class BatchRequest(RequestModel):
    """Where the records are, JSON lines of `id` and `text_inputs`, and how to work on them."""

    s3_uri: str | None = Field(
        default=None,
        # 1,024 bytes of key, 63 of bucket, and what stands before and between.
        max_length=1100,
        pattern=r"^s3://[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9]/.*[^/]$",
        description="The file: one S3 object, below the batch bucket's input/ or another place "
        "that this stage may read.",
        examples=["s3://batch-bucket/input/texts.jsonl"],
    )
    upload: bool = Field(
        default=False,
        description="Instead of s3_uri: answer with a URL that takes the file, of up to 5 GB.",
    )
    client_token: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="Asking again with the same token gives the same batch, not another one.",
    )
    instance_count: Annotated[int, Field(ge=1), WHOLE] | None = Field(
        default=None,
        description="Instances that share the work; the stage has a default and an upper bound.",
    )
    merge: bool = Field(
        default=False, description="Also put all embeddings into one file, in the input's order."
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.s3_uri is None) != self.upload:
            raise ValueError("give either s3_uri or upload: true")
        return self
