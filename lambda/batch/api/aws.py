"""Clients of AWS, each made when it is first needed."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Final

from botocore.client import BaseClient
from botocore.config import Config
from botocore.session import Session

# API Gateway waits for 29 seconds in all, and a request makes few calls.
_TIMES: Final[dict[str, Any]] = {
    "connect_timeout": 2,
    "read_timeout": 5,
    "retries": {"mode": "standard", "max_attempts": 3},
}


class Aws:
    """Clients of the services that batches need."""

    def __init__(self) -> None:
        self._session = Session()

    @cached_property
    def s3(self) -> BaseClient:
        """Signs URLs by Signature Version 4, which objects under a KMS key ask for."""
        return self._session.create_client("s3", config=Config(signature_version="s3v4", **_TIMES))

    @cached_property
    def stepfunctions(self) -> BaseClient:
        return self._session.create_client("stepfunctions", config=Config(**_TIMES))

    @cached_property
    def sagemaker(self) -> BaseClient:
        """Reading its service model takes a while; most requests do without."""
        return self._session.create_client("sagemaker", config=Config(**_TIMES))
