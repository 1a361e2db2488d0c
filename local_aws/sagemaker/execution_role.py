"""What SageMaker does as the execution role of a job or a model."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from local_aws.context import Context
from local_aws.iam.access import Access, AccessDeniedError
from local_aws.iam.principals import Principal

_IMAGE = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[\w-]+)\.amazonaws\.com[\w.]*/(?P<name>[^:@]+)"
)
_PULL = ("ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
_LOG = ("logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents")


class ExecutionRole:
    """A role that SageMaker has assumed.

    Args:
        role_arn: Of the job or the model.
        source_arn: The job or the model.

    Raises:
        AccessDeniedError: The role does not exist, or does not trust SageMaker.
    """

    def __init__(self, context: Context, access: Access, role_arn: str, source_arn: str) -> None:
        self._context = context
        self._access = access
        self._principal: Principal = access.assume(
            role_arn, "sagemaker.amazonaws.com", "SageMaker", source_arn
        )

    def client(self, service: str) -> Any:
        """A client with which SageMaker acts as the role."""
        return self._access.client(self._principal, service)

    def pull_image(self, image: str) -> None:
        """Checks that the role may pull an image, which is not used here.

        Raises:
            AccessDeniedError: It may not.
        """
        found = _IMAGE.match(image)
        if found is None:
            return
        repository = f"arn:aws:ecr:{found['region']}:{found['account']}:repository/{found['name']}"
        self._require(["ecr:GetAuthorizationToken"], "*", "an image")
        self._require(_PULL, repository, "an image")

    def write_logs(self, group: str, stream: str) -> None:
        """Checks that the role may write a log and metrics, which lie in files here.

        On AWS a job whose role may not do it runs without a log; here it fails, so that it shows.

        Raises:
            AccessDeniedError: It may not.
        """
        name = f"arn:aws:logs:{self._context.region}:{self._context.account_id}:log-group:{group}"
        self._require(["logs:CreateLogGroup"], name, "a log")
        self._require(_LOG, f"{name}:log-stream:{stream}", "a log")
        self._access.require(
            self._principal,
            "cloudwatch:PutMetricData",
            "*",
            {"cloudwatch:namespace": group},
            call="SageMaker's metrics",
        )

    def use_volume_key(self, key: str | None) -> None:
        """Checks that the role may let AWS encrypt a volume with a key.

        Raises:
            AccessDeniedError: It may not.
        """
        if key is not None:
            self._access.require(
                self._principal,
                "kms:CreateGrant",
                self._access.key_arn(key),
                {"kms:GrantIsForAWSResource": "true"},
                call="SageMaker's volume",
            )

    def use_output_key(self, key: str | None) -> None:
        """Checks that the role may encrypt a training job's output with a key.

        S3 asks for kms:GenerateDataKey; SageMaker's documentation demands kms:Encrypt besides.

        Raises:
            AccessDeniedError: It may not.
        """
        if key is not None:
            self._require(["kms:Encrypt"], self._access.key_arn(key), "an output's key")

    def _require(self, actions: Iterable[str], resource: str, what: str) -> None:
        for action in actions:
            self._access.require(
                self._principal, action, resource, call=f"SageMaker's use of {what}"
            )


__all__ = ["AccessDeniedError", "ExecutionRole"]
