"""The front door: the REST API in front of the SageMaker endpoints."""

from __future__ import annotations

import os
from typing import Any, Final, TypedDict

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic_core import to_json

from front_door.answers import EndpointsAnswer, HealthAnswer, ServedBy
from front_door.aws_calls import Parameters, SageMakerRuntime
from front_door.deployment import DeploymentParameter
from front_door.endpoints import Answer, Endpoints
from front_door.environment import Environment
from front_door.front_door_metrics import metrics
from front_door.health import check_health
from front_door.requests import (
    MAX_EMBEDDED_NUMBERS,
    MAX_NEAREST_HITS,
    MAX_SEARCH_HITS,
    EmbedRequest,
    NearestRequest,
    SearchRequest,
)
from front_door.serving import ServingSwitch
from front_door.splicing import best_scores, with_embeddings, with_hits, with_results
from front_door.time_budget import TimeBudget
from rest.app import JsonApi, Response, json_response
from rest.body import read_request
from rest.errors import USE_BATCH, ApiError

# Kept back from Lambda's own time-out, for writing the answer and the log.
_RESERVE_SECONDS: Final = 0.5


class FrontDoorApi(JsonApi):
    """`budget` is the present request's."""

    budget: TimeBudget


logger = Logger()
app = FrontDoorApi()

environment = Environment.read(os.environ)
metrics.set_default_dimensions(Stage=environment.stage)
parameters = Parameters(os.environ)
deployment = DeploymentParameter(environment.deployment_parameter, parameters)
switch = ServingSwitch(environment.serving_parameter, environment.stage, parameters)
endpoints = Endpoints(environment.endpoints, SageMakerRuntime(os.environ), switch)


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer one API Gateway proxy event; `Server-Timing` says where the time went (ms)."""
    seconds = context.get_remaining_time_in_millis() / 1000 - _RESERVE_SECONDS
    budget = TimeBudget(min(environment.time_budget_seconds, seconds))
    answer: dict[str, Any] = _respond(event, context, budget)
    model = budget.waited * 1000
    own = budget.elapsed() * 1000 - model
    answer["multiValueHeaders"]["Server-Timing"] = [
        f"model;dur={model:.2f}, front_door;dur={own:.2f}"
    ]
    return answer


@logger.inject_lambda_context
@metrics.log_metrics
def _respond(
    event: dict[str, Any],
    _: LambdaContext,
    budget: TimeBudget,
) -> dict[str, Any]:
    # The same name in the access log, in every line here and in the container's log.
    logger.append_keys(request_id=event["requestContext"]["requestId"])
    app.budget = budget
    answer = app.answer(event)
    metrics.add_metric("ModelWait", MetricUnit.Milliseconds, budget.waited * 1000)
    # What was asked, never the texts.
    logger.info(
        "answered",
        path=event.get("path"),
        status=answer["statusCode"],
        model_ms=round(budget.waited * 1000, 1),
    )
    return answer


@app.route("POST", "/embed")
def embed() -> Response:
    """Embeddings of the caller's texts."""
    request = read_request(app.event, EmbedRequest)
    dimension = deployment.get().dimension
    if len(request.texts) * dimension > MAX_EMBEDDED_NUMBERS:
        raise ApiError(
            "payload_too_large",
            f"texts: {len(request.texts)} texts of {dimension} dimensions; at most "
            f"{MAX_EMBEDDED_NUMBERS // dimension} are allowed. {USE_BATCH}",
            field="texts",
        )
    answer = _ask({"mode": "embedding", "text_inputs": request.texts}, request.instance_type)
    return json_response(with_embeddings(answer.body, _who(answer)))


@app.route("POST", "/nearest")
def nearest() -> Response:
    """Nearest neighbours of the queries within the caller's own corpus."""
    request = read_request(app.event, NearestRequest)
    top_k = min(request.top_k, len(request.corpus))
    _check_hits(len(request.queries), top_k, MAX_NEAREST_HITS)
    answer = _ask(
        {
            "mode": "nn_corpus",
            "corpus": request.corpus,
            "queries": request.queries,
            "top_k": top_k,
        },
        request.instance_type,
    )
    return json_response(with_results(answer.body, _who(answer)))


@app.route("POST", "/search")
def search() -> Response:
    """The deployed corpus's answers to the queries."""
    request = read_request(app.event, SearchRequest)
    _check_hits(len(request.queries), request.top_k, MAX_SEARCH_HITS)
    answer = _ask(
        {"mode": "search", "queries": request.queries, "top_k": request.top_k},
        request.instance_type,
    )
    # Measured by the stage's own score, whatever this caller asked for: callers with other
    # thresholds would make the share of unanswered questions mean nothing.
    best = best_scores(answer.body)
    unanswered = sum(score < environment.min_score for score in best)
    metrics.add_metric("Questions", MetricUnit.Count, len(best))
    metrics.add_metric("UnansweredQuestions", MetricUnit.Count, unanswered)
    return json_response(with_hits(answer.body, request.min_score, _who(answer)))


@app.route("GET", "/endpoints")
def list_endpoints() -> Response:
    """What is deployed: instance types to choose from, model and corpus."""
    deployed = deployment.get()
    found: EndpointsAnswer = {
        "endpoints": [
            {"instance_type": endpoint.instance_type, "endpoint_name": endpoint.endpoint_name}
            for endpoint in endpoints.deployed
        ],
        "model": {
            "id": deployed.model_id,
            "version": deployed.model_version,
            "dimension": deployed.dimension,
        },
        "corpus": {"sha256": deployed.corpus_sha256},
        "bake_id": deployed.bake_id,
        "serving": "off" if switch.is_off() else "on",
        "request_id": app.request_id,
    }
    return json_response(found)


@app.route("GET", "/health")
def health() -> Response:
    """Whether an endpoint answers, from the bake that is deployed."""
    report = check_health(endpoints, switch, deployment.get().bake_id, app.budget)
    found: HealthAnswer = {"status": "ok", **report, "request_id": app.request_id}
    return json_response(found)


def _ask(question: dict[str, Any], instance_type: str | None) -> Answer:
    question["request_id"] = app.request_id
    answer = endpoints.ask(to_json(question), app.budget, instance_type)
    metrics.add_metric("FailedOver", MetricUnit.Count, len(answer.failed))
    return answer


def _check_hits(queries: int, top_k: int, most: int) -> None:
    if queries * top_k > most:
        raise ApiError(
            "invalid_request",
            f"top_k: {queries} queries with {top_k} hits each; at most {most:,} hits fit into "
            "one answer. Ask for fewer queries or a lower top_k.",
            field="top_k",
        )


class _Who(TypedDict):
    served_by: ServedBy
    request_id: str


def _who(answer: Answer) -> _Who:
    return {"served_by": answer.served_by(), "request_id": app.request_id}
