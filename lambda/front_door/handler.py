"""The front door: the REST API in front of the SageMaker endpoints."""

from __future__ import annotations

import os
from typing import Any, Final, TypedDict

from answers import json_response, with_embeddings, with_hits, with_results
from api_answers import EndpointsAnswer, HealthAnswer, ServedBy
from api_errors import USE_BATCH, ApiError
from api_models import (
    MAX_EMBEDDED_NUMBERS,
    MAX_NEAREST_HITS,
    MAX_SEARCH_HITS,
    EmbedRequest,
    NearestRequest,
    SearchRequest,
)
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.event_handler import APIGatewayRestResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.logging import correlation_paths
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config
from botocore.session import Session
from deployment import DeploymentParameter
from endpoints import Answer, Endpoints, runtime_clients
from environment import Environment
from health import check_health
from pydantic_core import to_json
from request_body import read_request
from time_budget import TimeBudget

METHODS: Final = {
    "/embed": "POST",
    "/nearest": "POST",
    "/search": "POST",
    "/endpoints": "GET",
    "/health": "GET",
}
# Kept back from Lambda's own time-out, for writing the answer and the log.
_RESERVE_SECONDS: Final = 0.5

logger = Logger()
metrics = Metrics(namespace="FaqSearch")
app = APIGatewayRestResolver()

environment = Environment.read(os.environ)
metrics.set_default_dimensions(stage=environment.stage)
_session = Session()
endpoints = Endpoints(environment.endpoints, runtime_clients(_session))
deployment = DeploymentParameter(
    environment.deployment_parameter,
    _session.create_client(
        "ssm",
        config=Config(connect_timeout=1, read_timeout=2, retries={"total_max_attempts": 1}),
    ),
)


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


@logger.inject_lambda_context(correlation_id_path=correlation_paths.API_GATEWAY_REST)
@metrics.log_metrics
def _respond(
    event: dict[str, Any],
    context: LambdaContext,
    budget: TimeBudget,
) -> dict[str, Any]:
    app.context["budget"] = budget
    answer = app.resolve(event, context)
    metrics.add_metric("ModelWait", MetricUnit.Milliseconds, budget.waited * 1000)
    # What was asked, never the texts.
    logger.info(
        "answered",
        path=event.get("path"),
        status=answer["statusCode"],
        model_ms=round(budget.waited * 1000, 1),
    )
    return answer


@app.post("/embed")
def embed() -> Response[str]:
    """Embeddings of the caller's texts."""
    request = read_request(app.current_event, EmbedRequest)
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


@app.post("/nearest")
def nearest() -> Response[str]:
    """Nearest neighbours of the queries within the caller's own corpus."""
    request = read_request(app.current_event, NearestRequest)
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


@app.post("/search")
def search() -> Response[str]:
    """The deployed corpus's answers to the queries."""
    request = read_request(app.current_event, SearchRequest)
    _check_hits(len(request.queries), request.top_k, MAX_SEARCH_HITS)
    answer = _ask(
        {"mode": "search", "queries": request.queries, "top_k": request.top_k},
        request.instance_type,
    )
    return json_response(with_hits(answer.body, request.min_score, _who(answer)))


@app.get("/endpoints")
def list_endpoints() -> Response[str]:
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
        "request_id": _request_id(),
    }
    return json_response(found)


@app.get("/health")
def health() -> Response[str]:
    """Whether an endpoint answers, from the bake that is deployed."""
    report = check_health(endpoints, deployment.get().bake_id, _budget())
    found: HealthAnswer = {"status": "ok", **report, "request_id": _request_id()}
    return json_response(found)


@app.exception_handler(ApiError)  # type: ignore[untyped-decorator]
def _api_error(error: ApiError) -> Response[str]:
    logger.info("refused", code=error.code)
    # A busy or absent model is worth asking again; everything else would only fail again.
    headers = {"Retry-After": "1"} if error.status in (429, 503) else {}
    return json_response(error.to_dict(_request_id()), error.status, headers)


@app.not_found
def _not_found(_: NotFoundError) -> Response[str]:
    path = app.current_event.path
    allowed = METHODS.get(path.rstrip("/"))
    if allowed is None:
        error = ApiError("not_found", f"There is nothing here; there are {', '.join(METHODS)}.")
        return json_response(error.to_dict(_request_id()), error.status)
    error = ApiError("method_not_allowed", f"Use {allowed} here.")
    return json_response(error.to_dict(_request_id()), error.status, {"Allow": allowed})


@app.exception_handler(Exception)  # type: ignore[untyped-decorator]
def _unexpected(_: Exception) -> Response[str]:
    logger.exception("unexpected")
    error = ApiError("internal_error", "Something went wrong here; it is not your request.")
    return json_response(error.to_dict(_request_id()), error.status)


def _ask(question: dict[str, Any], instance_type: str | None) -> Answer:
    answer = endpoints.ask(to_json(question), _budget(), instance_type)
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
    return {"served_by": answer.served_by(), "request_id": _request_id()}


def _budget() -> TimeBudget:
    budget: TimeBudget = app.context["budget"]
    return budget


def _request_id() -> str:
    request_id: str = app.current_event.request_context.request_id
    return request_id
