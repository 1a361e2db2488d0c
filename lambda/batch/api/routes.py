"""The batch routes of the REST API: start a batch, look at it, stop it."""

from __future__ import annotations

from typing import Annotated

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import Response
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import WithJsonSchema

from batch.api.answers import BatchAnswer, BatchStarted, BatchStopped
from batch.api.aws import Aws, api_error
from batch.api.batches import Batches
from batch.api.callers import Caller, caller_of
from batch.api.environment import Environment
from batch.api.files import downloads, upload_url
from batch.api.requests import BatchRequest
from rest.app import RestApp

_AWS_ERRORS = ("throttled", "service_unavailable")
BatchId = Annotated[str, WithJsonSchema({"type": "string", "format": "uuid"})]

logger = Logger(child=True)


class BatchApi(RestApp):
    """The routes and what they work with."""

    environment: Environment
    aws: Aws
    batches: Batches

    def connect(self, environment: Environment, aws: Aws) -> None:
        """Readies the routes for requests; without it they can only be documented."""
        self.environment = environment
        self.cors_origins = environment.cors_origins
        self.aws = aws
        self.batches = Batches(environment, aws)

    @property
    def caller(self) -> Caller:
        """Who sent the current request; ApiError (forbidden) if that is not known."""
        context = self.current_event.raw_event["requestContext"]
        return caller_of(self.environment.auth, self.environment.api_keys, context)


app = BatchApi("batch")


@app.operation(
    "POST",
    "/batch",
    "Embed a file of JSON lines",
    answers={202: BatchStarted, 200: BatchStarted},
    errors=(*_AWS_ERRORS, "forbidden", "client_token_conflict", "too_many_batches"),
)
def start_batch(request: BatchRequest) -> tuple[BatchStarted, int]:
    """A new batch, or the one that an earlier request with the same token started."""
    asked = app.batches.ask(request, app.caller)
    logger.info("batch requested", batch_id=asked.batch_id, new=asked.new)
    answer: BatchStarted = {
        "batch_id": asked.batch_id,
        "status": asked.status,
        "request_id": app.request_id,
    }
    if asked.status == "awaiting_upload":
        answer["upload"] = upload_url(app.aws.s3, app.environment.bucket, asked.batch_id)
    return answer, 202 if asked.new else 200


@app.operation(
    "GET",
    "/batch/{batch_id}",
    "How far a batch is, and its results",
    answers={200: BatchAnswer},
    errors=(*_AWS_ERRORS, "forbidden"),
)
def get_batch(batch_id: BatchId) -> BatchAnswer:
    """How far a batch is; once it has ended, its report and its results."""
    progress = app.batches.progress(batch_id, app.caller)
    answer: BatchAnswer = {
        "batch_id": batch_id,
        "status": progress.status,
        "request_id": app.request_id,
    }
    if progress.report is not None:
        answer["report"] = progress.report
        answer["downloads"] = downloads(app.aws.s3, progress.report)
    return answer


@app.operation(
    "DELETE",
    "/batch/{batch_id}",
    "Stop a batch",
    answers={202: BatchStopped, 200: BatchStopped},
    errors=(*_AWS_ERRORS, "forbidden"),
)
def stop_batch(batch_id: BatchId) -> tuple[dict[str, str], int]:
    """Stops a batch."""
    status = app.batches.stop(batch_id, app.caller)
    answer = {"batch_id": batch_id, "status": status, "request_id": app.request_id}
    return answer, 202 if status == "stopping" else 200


def _aws_failed(error: BotoCoreError | ClientError) -> Response[str]:
    passing = api_error(error)
    if passing is None:
        return app.fail(error)
    logger.exception("AWS failed")
    return app.refuse(passing)


app.exception_handler([BotoCoreError, ClientError])(_aws_failed)
