"""The routes of the front door, each declared once.

To add a route, declare it here, its body in requests.py and its answer in answers.py (for OpenAI's
clients both in openai_form.py), then run
`make openapi snapshots`: docs/openapi.json is generated from the declarations, and synth makes API
Gateway's resources and methods from that file. docs/rest-api.md describes it for people.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence, Sized
from contextlib import suppress
from functools import partial
from typing import Any, Final, TypeVar

from aws_lambda_powertools.metrics import MetricUnit
from pydantic_core import to_json

from contract.metrics import FAILED_OVER, QUESTIONS, UNANSWERED_QUESTIONS
from contract.vector_index import VectorIndex
from front_door.answers import (
    EmbedAnswer,
    EndpointHit,
    EndpointsAnswer,
    HealthAnswer,
    NearestAnswer,
    SearchAnswer,
    SearchHit,
    SearchResults,
    UnhealthyAnswer,
    read_embeddings,
    read_neighbours,
    read_queries,
    read_results,
)
from front_door.aws import Aws
from front_door.endpoints import Answer, Endpoints, count_tokens
from front_door.environment import Environment, StageParameters, metrics
from front_door.health import check_health
from front_door.index_search import RESERVED_SECONDS, search_index
from front_door.openai_form import (
    MAX_BASE64_NUMBERS,
    OPENAI_ERRORS,
    READERS,
    EmbeddingsAnswer,
    EmbeddingsRequest,
    Model,
    ModelsAnswer,
    model_of,
)
from front_door.requests import (
    MAX_EMBEDDED_NUMBERS,
    MAX_INDEX_QUERIES,
    MAX_INDEX_TOP_K,
    MAX_NEAREST_HITS,
    MAX_SEARCH_HITS,
    EmbedRequest,
    NearestRequest,
    SearchRequest,
)
from front_door.time_budget import TimeBudget
from front_door.unanswered import UnansweredQuestions
from front_door.withholding import MARGIN_HITS, is_answered
from rest.app import RestApp
from rest.errors import USE_BATCH, ApiError

T = TypeVar("T")

# With `iam` there are no such routes: OpenAI's clients cannot sign.
_OPENAI_AUTH: Final = ("api_key", "jwt")
_MODEL_ERRORS: Final = ("throttled", "model_error", "model_unavailable", "serving_off", "time_out")


class FrontDoor(RestApp):
    """The routes and what they work with: `budget` is of the current request."""

    environment: Environment
    aws: Aws
    parameters: StageParameters
    endpoints: Endpoints
    unanswered: UnansweredQuestions | None
    budget: TimeBudget

    def connect(self, environment: Environment, aws: Aws) -> None:
        """Readies the routes for requests; without it they can only be documented."""
        self.environment = environment
        self.aws = aws
        if environment.index_parameter:
            aws.load_vectors()
        self.cors_origins = environment.cors_origins
        self.parameters = StageParameters(environment, aws)
        self.endpoints = Endpoints(environment.endpoints, aws, self.parameters)
        log_group = environment.unanswered_log_group
        self.unanswered = UnansweredQuestions(aws, log_group) if log_group else None


app = FrontDoor("front_door")


@app.operation("POST", "/embed", "Embed texts", answers={200: EmbedAnswer}, errors=_MODEL_ERRORS)
def embed(request: EmbedRequest) -> bytes:
    """Embeddings of the caller's texts."""
    dimension = app.parameters.deployment().dimension
    _check_numbers("texts", len(request.texts), dimension, MAX_EMBEDDED_NUMBERS)
    question = {"mode": "embedding", "text_inputs": request.texts}
    read = partial(read_embeddings, texts=len(request.texts))
    answer = _ask(question, read, request.instance_type)
    rest = to_json({"served_by": answer.served_by(), "request_id": app.request_id})
    return b"".join((b'{"embeddings":', answer.value, b",", rest[1:]))


@app.operation(
    "POST",
    "/nearest",
    "Find nearest neighbours in a corpus of your own",
    answers={200: NearestAnswer},
    errors=_MODEL_ERRORS,
)
def nearest(request: NearestRequest) -> NearestAnswer:
    """Nearest neighbours of the queries within the caller's own corpus."""
    top_k = min(request.top_k, len(request.corpus))
    _check_hits(len(request.queries), top_k, MAX_NEAREST_HITS)
    question = {
        "mode": "nn_corpus",
        "corpus": request.corpus,
        "queries": request.queries,
        "top_k": top_k,
    }
    read = _for_each(request.queries, read_neighbours, lambda answer: answer)
    answer = _ask(question, read, request.instance_type)
    return {
        "results": answer.value,
        "served_by": answer.served_by(),
        "request_id": app.request_id,
    }


@app.operation(
    "POST",
    "/search",
    "Ask the deployed corpus",
    answers={200: SearchAnswer},
    errors=(*_MODEL_ERRORS, "index_unavailable"),
)
def search(request: SearchRequest) -> SearchAnswer:
    """The deployed corpus's answers to the queries."""
    _check_hits(len(request.queries), request.top_k, MAX_SEARCH_HITS)
    stage, queries = app.environment, request.queries
    min_score = stage.min_score if request.min_score is None else request.min_score
    margin = stage.margin if request.margin is None else request.margin
    depth = request.top_k
    if margin or stage.margin:
        depth = max(depth, min(MARGIN_HITS, MAX_SEARCH_HITS // len(queries)))
    index = app.parameters.index()
    if index is None:
        answer = _search_endpoints(request, depth)
    else:
        answer = _search_index(request, depth, index)
    found = answer.value["results"]
    # Measured by the stage's own limits and not by what this caller asked for: with different ones
    # the share of unanswered questions would mean nothing.
    unanswered = [
        (query, hits[0]["score"] if hits else None)
        for query, hits in zip(queries, found, strict=True)
        if not is_answered(hits, stage.unanswered_below, stage.margin)
    ]
    metrics.add_metric(QUESTIONS, MetricUnit.Count, len(found))
    metrics.add_metric(UNANSWERED_QUESTIONS, MetricUnit.Count, len(unanswered))
    if app.unanswered and unanswered:
        app.unanswered.keep(unanswered)
    if min_score <= -1:  # keep even hits that rounding took below -1
        min_score = -math.inf
    return {
        "bake_id": answer.value["bake_id"],
        "results": [
            [_search_hit(hit) for hit in hits[: request.top_k] if hit["score"] >= min_score]
            if is_answered(hits, min_score, margin)
            else []
            for hits in found
        ],
        "served_by": answer.served_by(),
        "request_id": app.request_id,
    }


@app.operation(
    "GET",
    "/endpoints",
    "What is deployed",
    answers={200: EndpointsAnswer},
    errors=("model_unavailable",),
)
def endpoints() -> EndpointsAnswer:
    """What is deployed: instance types to choose from, model and corpus."""
    deployment = app.parameters.deployment()
    corpus_sha256 = deployment.corpus_sha256
    with suppress(ApiError):  # of an index that is not there yet
        if index := app.parameters.index():
            corpus_sha256 = index.corpus_sha256
    return {
        "endpoints": [
            {
                "instance_type": endpoint.instance_type,
                "endpoint_name": endpoint.endpoint_name,
                "min_instances": endpoint.min_instances,
                "max_instances": endpoint.max_instances,
                "hourly_price": endpoint.hourly_price,
            }
            for endpoint in app.endpoints.deployed
        ],
        "model": {
            "id": deployment.model_id,
            "version": deployment.model_version,
            "dimension": deployment.dimension,
        },
        "corpus": {"sha256": corpus_sha256},
        "bake_id": deployment.bake_id,
        "serving": "off" if app.parameters.is_off() else "on",
        "request_id": app.request_id,
    }


@app.operation(
    "GET",
    "/health",
    "Whether an endpoint answers from the deployed bake",
    answers={200: HealthAnswer, 503: UnhealthyAnswer},
    errors=("model_unavailable", "serving_off"),
)
def health() -> HealthAnswer:
    """Whether an endpoint answers, from the bake that is deployed."""
    report = check_health(app.endpoints, app.parameters, app.budget)
    return {"status": "ok", **report, "request_id": app.request_id}


@app.operation(
    "POST",
    "/embeddings",
    "Embed texts, for OpenAI's clients",
    answers={200: EmbeddingsAnswer},
    errors=(*_MODEL_ERRORS, "model_not_found"),
    error_form=OPENAI_ERRORS,
    auth=_OPENAI_AUTH,
)
def embeddings(request: EmbeddingsRequest) -> EmbeddingsAnswer:
    """Embeddings of the caller's texts, in the form of OpenAI's API."""
    deployment = app.parameters.deployment()
    _check_model(request.model, deployment.model_id)
    in_base64 = request.encoding_format == "base64"
    most = MAX_BASE64_NUMBERS if in_base64 else MAX_EMBEDDED_NUMBERS
    _check_numbers("input", len(request.input), deployment.dimension, most)
    question = {
        "mode": "embedding",
        "text_inputs": request.input,
        "encoding_format": request.encoding_format,
        "count_tokens": True,
    }
    try:
        reader = READERS[request.encoding_format]
        read = _for_each(request.input, reader, lambda answer: answer["embedding"])
        answer = _ask(question, read, None).value
    except ApiError as error:
        if not error.message.startswith("mode embedding has no field"):
            raise
        raise ApiError(
            "model_unavailable",
            "The endpoints serve a bake of an earlier version, which counts no tokens: deploy a "
            "new one, or use POST /embed.",
        ) from error
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": embedding}
            for index, embedding in enumerate(answer["embedding"])
        ],
        "model": request.model,
        "usage": {"prompt_tokens": answer["tokens"], "total_tokens": answer["tokens"]},
    }


@app.operation(
    "GET",
    "/models",
    "The deployed model, for OpenAI's clients",
    answers={200: ModelsAnswer},
    errors=("model_unavailable",),
    error_form=OPENAI_ERRORS,
    auth=_OPENAI_AUTH,
)
def models() -> ModelsAnswer:
    """The model that `POST /embeddings` takes, as a list."""
    return {"object": "list", "data": [model_of(app.parameters.deployment().model_id)]}


@app.operation(
    "GET",
    "/models/{model}",
    "One model, for OpenAI's clients",
    answers={200: Model},
    errors=("model_unavailable", "model_not_found"),
    error_form=OPENAI_ERRORS,
    auth=_OPENAI_AUTH,
)
def get_model(model: str) -> Model:
    """The deployed model; no other exists."""
    _check_model(model, app.parameters.deployment().model_id)
    return model_of(model)


def _search_endpoints(request: SearchRequest, depth: int) -> Answer[SearchResults]:
    """What the endpoints find in the corpus that they hold."""
    question = {"mode": "search", "queries": request.queries, "top_k": depth}
    # Endpoints of an earlier version know neither field, so they are sent only where needed.
    if request.category is not None:
        question["category"] = request.category
    if not app.environment.lexical:
        question["lexical"] = False
    read = _for_each(request.queries, read_results, lambda answer: answer["results"])
    return _ask(question, read, request.instance_type)


def _search_index(request: SearchRequest, depth: int, index: VectorIndex) -> Answer[SearchResults]:
    """What the index finds for queries that the endpoints embed; its id is the answer's bake."""
    _check_index_limit("queries", len(request.queries), MAX_INDEX_QUERIES)
    _check_index_limit("top_k", request.top_k, MAX_INDEX_TOP_K)
    question = {"mode": "queries", "queries": request.queries}
    read = _for_each(request.queries, read_queries, lambda answer: answer["vectors"])
    try:
        with app.budget.reserving(RESERVED_SECONDS):
            answer = _ask(question, read, request.instance_type)
    except ApiError as error:
        # An endpoint of the time when endpoints held the corpus.
        if not error.message.startswith("mode is"):
            raise
        raise _other_artifact() from error
    if answer.value["bake_id"] != index.bake_id:
        raise _other_artifact()
    found = search_index(
        *(app.aws, index, answer.value, request.category, app.budget),
        lexical=app.environment.lexical,
    )
    results: SearchResults = {
        "bake_id": index.index_id,
        "results": [hits[:depth] for hits in found],
    }
    return Answer(results, answer.instance_type, answer.failed)


def _other_artifact() -> ApiError:
    return ApiError(
        "index_unavailable",
        "The endpoints serve another model than the one that the corpus's index was made with. "
        f"`make status STAGE={app.environment.stage}` shows how far the new index is.",
    )


def _check_index_limit(field: str, given: int, most: int) -> None:
    if given > most:
        raise ApiError(
            "invalid_request",
            f"{field}: {given:,}; where the corpus is in an index of S3 Vectors, as here, at most "
            f"{most} are allowed.",
            field=field,
        )


def _ask(
    question: dict[str, Any], read: Callable[[bytes], T], instance_type: str | None
) -> Answer[T]:
    texts = [
        text for field in ("text_inputs", "corpus", "queries") for text in question.get(field, ())
    ]
    tokens = count_tokens(texts, app.environment.max_seq_length)
    question["request_id"] = app.request_id
    answer = app.endpoints.ask(to_json(question), read, app.budget, instance_type, tokens)
    metrics.add_metric(FAILED_OVER, MetricUnit.Count, len(answer.failed))
    return answer


def _for_each(
    texts: Sequence[str], read: Callable[[bytes], T], results: Callable[[T], Sized]
) -> Callable[[bytes], T]:
    """As `read`; ValueError unless there is one of the results for each of the texts."""

    def read_all(content: bytes) -> T:
        answer = read(content)
        if len(results(answer)) != len(texts):
            raise ValueError("There is not one result for each text.")
        return answer

    return read_all


def _search_hit(hit: EndpointHit) -> SearchHit:
    return {"passage": None, "fields": {}, **hit}


def _check_model(given: str, deployed: str) -> None:
    if given != deployed:
        raise ApiError(
            "model_not_found",
            f"There is no model {given[:100]!r}; this stage serves {deployed}.",
            field="model",
        )


def _check_numbers(field: str, texts: int, dimension: int, most: int) -> None:
    if texts * dimension > most:
        raise ApiError(
            "payload_too_large",
            f"{field}: {texts} texts of {dimension} dimensions; at most {most // dimension} are "
            f"allowed. {USE_BATCH}",
            field=field,
        )


def _check_hits(queries: int, top_k: int, most: int) -> None:
    if queries * top_k > most:
        raise ApiError(
            "invalid_request",
            f"top_k: {queries} queries with {top_k} hits each; at most {most:,} hits fit into "
            "one answer. Ask for fewer queries or a lower top_k.",
            field="top_k",
        )
