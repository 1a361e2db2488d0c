"""What the routes for OpenAI's clients take, answer and refuse, in the form of OpenAI's API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, Generic, Literal, TypeVar

from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter
from pydantic_core import PydanticCustomError

# pydantic reads TypedDicts of Python 3.11 only from typing_extensions.
from typing_extensions import TypedDict

from front_door.answers import Score
from front_door.requests import MAX_EMBEDDED_NUMBERS, Text, listed
from rest.body import RequestModel
from rest.errors import ApiError, ErrorForm

Vector = TypeVar("Vector")

MAX_INPUTS: Final = 2_048
"""As many as OpenAI takes; LangChain sends 1,000 at once."""
MAX_BASE64_NUMBERS: Final = 1_000_000
"""A number takes 5.4 bytes in base64, so these take 5.4 million; 150,000 more surround them."""


def _texts(value: object) -> object:
    first = next(iter(value), None) if isinstance(value, list) else value
    if isinstance(first, int | list):
        raise PydanticCustomError(
            "tokens",
            "is tokens of another model; send text (in langchain-openai: "
            "check_embedding_ctx_length=False)",
        )
    return listed(value)


def _refuse_dimensions(value: object) -> object:
    if value is not None:
        raise PydanticCustomError(
            "dimensions", "cannot be chosen, since the model has only its own; leave it out"
        )
    return value


class EmbeddingsRequest(RequestModel):
    """Texts to embed, as OpenAI's clients send them. Other fields, such as `user`, are ignored."""

    model_config = ConfigDict(extra="ignore")

    input: Annotated[
        list[Text],
        Field(min_length=1, max_length=MAX_INPUTS, fail_fast=True),
        BeforeValidator(_texts, json_schema_input_type=Text | list[Text]),
    ] = Field(
        description="A text, or texts; no tokens. Their number times the model's dimension is at "
        f"most {MAX_EMBEDDED_NUMBERS}, with base64 {MAX_BASE64_NUMBERS}.",
        examples=["How cute your dog is!"],
    )
    model: str = Field(
        description="The id of the deployed model; `GET /models` names it.",
        examples=["huggingface-sentencesimilarity-all-MiniLM-L6-v2"],
    )
    encoding_format: Literal["float", "base64"] = Field(
        default="float",
        description="Numbers, or the base64 of little-endian float32, which is a third as long.",
    )
    dimensions: Annotated[None, BeforeValidator(_refuse_dimensions)] = Field(
        default=None, description="Cannot be chosen."
    )


class Embedding(TypedDict):
    """One text's vector: numbers, or base64 if that was asked for."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class Usage(TypedDict):
    """The tokens that the model has read, after it has cut long texts."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsAnswer(TypedDict):
    """One embedding for each text, in their order."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: Usage


class Model(TypedDict):
    """The deployed model. When it was made is not known."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelsAnswer(TypedDict):
    """The one model that the stage serves."""

    object: Literal["list"]
    data: list[Model]


class OpenAiError(TypedDict):
    """What went wrong; `param` is the wrong part of the request."""

    message: str
    type: Literal["invalid_request_error", "rate_limit_error", "server_error"]
    param: str | None
    code: str


class OpenAiErrorAnswer(TypedDict):
    """An error as OpenAI's API writes it."""

    error: OpenAiError


class Counted(TypedDict, Generic[Vector]):
    """An endpoint's answer: vectors, and the number of tokens they were made of."""

    embedding: list[Vector]
    tokens: int


# The readers raise ValueError for an answer of another shape.
READERS: Final[dict[str, Callable[[bytes], Counted[Any]]]] = {
    "float": TypeAdapter(Counted[list[Score]]).validate_json,
    "base64": TypeAdapter(Counted[str]).validate_json,
}


def model_of(model_id: str) -> Model:
    """A model in OpenAI's form."""
    return {"id": model_id, "object": "model", "created": 0, "owned_by": "jumpstart"}


def _write_error(error: ApiError, _request_id: str) -> dict[str, Any]:
    kind = "rate_limit_error" if error.status == 429 else "server_error"
    if error.status < 500 and error.status != 429:
        kind = "invalid_request_error"
    return {
        "error": {
            "message": error.message,
            "type": kind,
            "param": error.field,
            "code": error.code,
        }
    }


OPENAI_ERRORS: Final = ErrorForm(OpenAiErrorAnswer, _write_error)
