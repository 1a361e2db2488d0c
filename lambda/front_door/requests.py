"""The bodies of our own three POST routes; these models are the authority on them.

The limits keep every answer below the 6 MB (6,291,456 bytes) that a Lambda function may return:

- embed: a number takes at most 24 bytes (`-0.0009654928930103779, `), so 250,000 numbers take
  6.0 million; that is 244 texts of 1,024 dimensions, or 651 of 384.
- nearest: a hit `{"corpus_id": 9999, "score": 0.9199999570846558}, ` takes about 55 bytes once its
  quotes are escaped inside the Lambda's own JSON, so 100,000 hits take 5.5 million.
- search: a hit carries a question, an answer, a passage and fields, about 3,000 bytes for 2,000
  hits.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import BeforeValidator, Field, StringConstraints

from contract.vector_index import MAX_TOP_K as _MAX_TOP_K_OF_INDEX
from rest.body import WHOLE, RequestModel

MAX_TEXT_CHARACTERS: Final = 20_000
MAX_TEXTS: Final = 10_000
MAX_QUERIES: Final = 1_000
MAX_TOP_K: Final = 1_000
MAX_INDEX_TOP_K: Final = _MAX_TOP_K_OF_INDEX
MAX_INDEX_QUERIES: Final = 100
"""Each is a call of its own where the corpus is in an index."""
MAX_CATEGORIES: Final = 100
MAX_EMBEDDED_NUMBERS: Final = 250_000
MAX_NEAREST_HITS: Final = 100_000
MAX_SEARCH_HITS: Final = 2_000

Text = Annotated[
    str,
    # Not only white space: the embedding of nothing is close to anything.
    StringConstraints(max_length=MAX_TEXT_CHARACTERS, pattern=r"\S"),
]
# Fail fast: five megabytes of wrong elements are one mistake, not a million.
Texts = Annotated[list[Text], Field(min_length=1, max_length=MAX_TEXTS, fail_fast=True)]
Queries = Annotated[list[Text], Field(min_length=1, max_length=MAX_QUERIES, fail_fast=True)]


def listed(value: object) -> object:
    """A list of one text, where a text alone is given."""
    return [value] if isinstance(value, str) else value


Categories = Annotated[
    list[Text],
    Field(min_length=1, max_length=MAX_CATEGORIES, fail_fast=True),
    BeforeValidator(listed, json_schema_input_type=str | list[Text]),
]
TopK = Annotated[int, Field(ge=1, le=MAX_TOP_K), WHOLE]


class _Request(RequestModel):
    instance_type: str | None = Field(
        default=None,
        description="Try this deployed instance type first; by default the first in the settings.",
        examples=["ml.c6i.xlarge"],
    )


class EmbedRequest(_Request):
    """Texts to embed."""

    texts: Texts = Field(
        description="Texts to embed. Their number times the model's dimension is at most "
        f"{MAX_EMBEDDED_NUMBERS}.",
        examples=[["How cute your dog is!", "Your dog is so cute."]],
    )


class NearestRequest(_Request):
    """Queries and the corpus to find their nearest neighbours in."""

    corpus: Texts = Field(
        description="Texts to search.",
        examples=[["SageMaker is a managed service.", "SageMaker encrypts code at rest."]],
    )
    queries: Queries = Field(
        description="Texts to find the nearest corpus entries for.",
        examples=[["What is Amazon SageMaker?"]],
    )
    top_k: TopK = Field(
        default=3,
        description="Hits per query. The number of queries times top_k (or the size of the "
        f"corpus, if smaller) is at most {MAX_NEAREST_HITS}.",
    )


class SearchRequest(_Request):
    """Queries to answer from the deployed corpus."""

    queries: Queries = Field(
        description="Questions to answer from the deployed corpus.",
        examples=[["Is R supported with Amazon SageMaker?"]],
    )
    top_k: TopK = Field(
        default=3,
        description="Hits per query. The number of queries times top_k is at most "
        f"{MAX_SEARCH_HITS}. Where the corpus is in an index of S3 Vectors, top_k is at most "
        f"{MAX_INDEX_TOP_K}, with at most {MAX_INDEX_QUERIES} queries.",
    )
    category: Categories | None = Field(
        default=None,
        description="Only find entries of this category, or of one of these.",
        examples=["Billing"],
    )
    min_score: float | None = Field(
        default=None,
        ge=-1,
        le=1,
        allow_inf_nan=False,
        description="Leave out hits with a lower score; without a hit, the answer is withheld. "
        "By default as the settings say.",
    )
    margin: float | None = Field(
        default=None,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="Withhold the answer unless the best hit is this far ahead of the next one "
        "with another question. By default as the settings say.",
    )
