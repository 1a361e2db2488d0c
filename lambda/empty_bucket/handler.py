"""The custom resource Custom::EmptyBucket: empties a bucket before its stack is deleted."""

from __future__ import annotations

import logging
from typing import Any

import boto3

from boto_config import PATIENT
from custom_resource import answer
from empty_bucket.bucket import empty
from stack_status import is_going_away

logging.getLogger().setLevel(logging.INFO)
_log = logging.getLogger(__name__)

_s3 = boto3.client("s3", config=PATIENT)
_cloudformation = boto3.client("cloudformation", config=PATIENT)


def handler(event: dict[str, Any], _context: object) -> None:
    """Empty the bucket on Delete, if the whole stack goes; do nothing on Create and Update.

    CloudFormation also sends a Delete when an update drops or renames this resource while the
    bucket stays, e.g. once its removal policy says "retain". Then nothing may be lost.
    """
    if event["RequestType"] != "Delete":
        answer(event, "SUCCESS", physical_id=event["ResourceProperties"]["BucketName"])
        return
    # The id that Create gave, not the properties: it alone surely names the old bucket.
    name = event["PhysicalResourceId"]
    try:
        if not is_going_away(_cloudformation, event["StackId"]):
            _log.warning("Bucket %s keeps its objects, for its stack stays", name)
        elif name == event["ResourceProperties"]["BucketName"]:
            _log.info("Removed %d versions from bucket %s", empty(_s3, name), name)
    except Exception as error:
        _log.exception("Bucket %s was not emptied", name)
        reason = f"Bucket {name} could not be emptied: {error}"
        answer(event, "FAILED", physical_id=name, reason=reason)
        return
    answer(event, "SUCCESS", physical_id=name)
