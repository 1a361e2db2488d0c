"""The custom resource Custom::VectorIndex: a deployment starts the loading, and waits for nothing.

Loading takes hours where a corpus is large, and CloudFormation waits for one at most.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from functools import cache
from typing import Any

import boto3
from botocore.exceptions import ClientError

from boto_config import PATIENT
from custom_resource import answer, is_going_away, is_rolling_back
from index.executions import start, stop_others
from index.loads import Loads

logging.getLogger().setLevel(logging.INFO)
logger = logging.getLogger(__name__)


class IndexResource:
    """Answers CloudFormation."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._s3 = boto3.client("s3", config=PATIENT)
        self._ssm = boto3.client("ssm", config=PATIENT)
        self._vectors: Any = boto3.client("s3vectors", config=PATIENT)
        self._stepfunctions = boto3.client("stepfunctions", config=PATIENT)
        self._cloudformation = boto3.client("cloudformation", config=PATIENT)
        self._loads = Loads(self._s3, variables["ARTIFACTS_BUCKET"])
        self._vector_bucket = variables["VECTOR_BUCKET"]
        self._parameter = variables["INDEX_PARAMETER"]
        self._state_machine_arn = variables["STATE_MACHINE_ARN"]

    def handle(self, event: Mapping[str, Any]) -> None:
        physical_id = self._vector_bucket
        try:
            if event["RequestType"] == "Delete":
                self._delete(event)
            else:
                self._load(json.loads(event["ResourceProperties"]["Index"]))
        except Exception as error:
            # CloudFormation gets its answer from nowhere else, so no error may escape.
            logger.exception("The request failed")
            if not is_rolling_back(self._cloudformation, event["StackId"]):
                done = "emptied" if event["RequestType"] == "Delete" else "loaded"
                reason = f"The index of S3 Vectors could not be {done}: {error}"
                answer(event, "FAILED", physical_id=physical_id, reason=reason)
                return
        answer(event, "SUCCESS", physical_id=physical_id)

    def _load(self, index: Mapping[str, Any]) -> None:
        """Starts the loading; of an index that is complete, the switch to it."""
        self._loads.want(index)
        stop_others(self._stepfunctions, self._state_machine_arn, index["index_id"])
        arn = start(self._stepfunctions, self._state_machine_arn, index)
        logger.info("Index %s is loaded by %s", index["index_id"], arn)

    def _delete(self, event: Mapping[str, Any]) -> None:
        """Removes every index and the parameter, if the whole stack goes with its data."""
        if not is_going_away(self._cloudformation, event["StackId"]):
            logger.warning("The indexes stay because their stack stays")
            return
        # First, so that no step makes an index again.
        self._loads.want(None)
        stop_others(self._stepfunctions, self._state_machine_arn, None)
        try:
            self._ssm.delete_parameter(Name=self._parameter)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ParameterNotFound":
                raise
        if event["ResourceProperties"]["RemoveIndexes"] == "true":
            self._delete_indexes()

    def _delete_indexes(self) -> None:
        try:
            pages = self._vectors.get_paginator("list_indexes").paginate(
                vectorBucketName=self._vector_bucket
            )
            names = [each["indexName"] for page in pages for each in page["indexes"]]
            for name in names:
                self._vectors.delete_index(vectorBucketName=self._vector_bucket, indexName=name)
        except ClientError as error:
            if error.response["Error"]["Code"] != "NotFoundException":
                raise
            return
        logger.info("Removed %d indexes", len(names))


@cache
def _resource() -> IndexResource:
    return IndexResource(os.environ)


def handler(event: dict[str, Any], _context: object) -> None:
    """Answers CloudFormation."""
    _resource().handle(event)
