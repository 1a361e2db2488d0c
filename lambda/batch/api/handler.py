"""The batch routes of the REST API: ask for a batch, look after it, stop it."""

from __future__ import annotations

import os
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.exceptions import BotoCoreError, ClientError

from batch.api.answers import BatchStarted
from batch.api.aws import Aws
from batch.api.aws_failures import api_error
from batch.api.batches import Batches
from batch.api.environment import Environment
from batch.api.requests import BatchRequest
from batch.api.signed_urls import downloads, upload_url
from rest.app import JsonApi, Response, json_response
from rest.body import read_request

logger = Logger()
app = JsonApi()

environment = Environment.read(os.environ)
aws = Aws()
batches = Batches(environment, aws)


@logger.inject_lambda_context
def handler(event: dict[str, Any], _: LambdaContext) -> dict[str, Any]:
    """Answer one API Gateway proxy event."""
    logger.append_keys(request_id=event["requestContext"]["requestId"])
    answer: dict[str, Any] = app.answer(event)
    logger.info(
        "answered",
        method=event.get("httpMethod"),
        path=event.get("path"),
        status=answer["statusCode"],
    )
    return answer


@app.route("POST", "/batch")
def start() -> Response:
    """A new batch, or the one that an earlier request with the same token asked for."""
    asked = batches.ask(read_request(app.event, BatchRequest))
    logger.info("batch asked for", batch_id=asked.batch_id, new=asked.new)
    found: BatchStarted = {
        "batch_id": asked.batch_id,
        "status": asked.status,
        "request_id": app.request_id,
    }
    if asked.status == "awaiting_upload":
        found["upload"] = upload_url(aws.s3, environment.bucket, asked.batch_id)
    return json_response(found, 202 if asked.new else 200)


@app.route("GET", "/batch/{batch_id}")
def look(batch_id: str) -> Response:
    """How far a batch is; once it has ended, its report and its results."""
    progress = batches.progress(batch_id)
    found: dict[str, Any] = {"batch_id": batch_id, "status": progress.status}
    if progress.report is not None:
        found["report"] = progress.report
        found["downloads"] = downloads(aws.s3, progress.report)
    return json_response(found | {"request_id": app.request_id})


@app.route("DELETE", "/batch/{batch_id}")
def stop(batch_id: str) -> Response:
    """Stop a batch."""
    status = batches.stop(batch_id)
    found = {"batch_id": batch_id, "status": status, "request_id": app.request_id}
    return json_response(found, 202 if status == "stopping" else 200)


@app.refusal(BotoCoreError, ClientError)
def _aws_failed(error: BotoCoreError | ClientError) -> Response:
    logger.exception("AWS failed")
    passing = api_error(error)
    return app.refuse(passing) if passing else app.fail()
