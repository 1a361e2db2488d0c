"""The Lambda function behind the batch routes of the REST API."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from batch.api.aws import Aws
from batch.api.environment import Environment
from batch.api.routes import app
from rest.snapshots import prepare_for_snapshots

logger = Logger()


@cache
def _connect() -> None:
    app.connect(Environment.read(os.environ), Aws())


def _load() -> None:
    _connect()
    app.aws.load()


prepare_for_snapshots(_load)


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answers one API Gateway proxy event."""
    _connect()
    logger.append_keys(request_id=event["requestContext"]["requestId"])
    answer = app.resolve(event, context)
    logger.info(
        "answered",
        method=event.get("httpMethod"),
        path=event.get("path"),
        status=answer["statusCode"],
    )
    return answer
