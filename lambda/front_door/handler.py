"""The front door: the Lambda function that answers the REST API from the SageMaker endpoints."""

from __future__ import annotations

import os
from typing import Any, Final

from aws_lambda_powertools import Logger
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from contract.metrics import MODEL_WAIT, stage_dimensions
from front_door.aws import Aws
from front_door.environment import Environment, metrics
from front_door.routes import app
from front_door.time_budget import TimeBudget
from rest.snapshots import prepare_for_snapshots

# Reserved before Lambda's own timeout, for writing the answer and the log.
_RESERVE_SECONDS: Final = 0.5

logger = Logger()

environment = Environment.read(os.environ)
metrics.set_default_dimensions(**stage_dimensions(environment.stage))
aws = Aws()
app.connect(environment, aws)
prepare_for_snapshots(aws.load)


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answers one API Gateway proxy event.

    `Server-Timing` says where the time went (ms). In `x-request-id` OpenAI's clients expect the id
    that our own answers have in their bodies.
    """
    seconds = context.get_remaining_time_in_millis() / 1000 - _RESERVE_SECONDS
    app.budget = TimeBudget(min(environment.time_budget_seconds, seconds))
    answer: dict[str, Any] = _answer(event, context)
    model = app.budget.waited * 1000
    index = app.budget.waited_for_index * 1000
    own = app.budget.elapsed() * 1000 - model - index
    timing = f"model;dur={model:.2f}, front_door;dur={own:.2f}"
    if index:
        timing += f", index;dur={index:.2f}"
    answer["multiValueHeaders"]["Server-Timing"] = [timing]
    answer["multiValueHeaders"]["x-request-id"] = [event["requestContext"]["requestId"]]
    return answer


@logger.inject_lambda_context
@metrics.log_metrics
def _answer(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    # It has the same name in the access log, in every line here and in the container's log.
    logger.append_keys(request_id=event["requestContext"]["requestId"])
    answer = app.resolve(event, context)
    metrics.add_metric(MODEL_WAIT, MetricUnit.Milliseconds, app.budget.waited * 1000)
    # Never the texts.
    logger.info(
        "answered",
        path=event.get("path"),
        status=answer["statusCode"],
        model_ms=round(app.budget.waited * 1000, 1),
    )
    return answer
