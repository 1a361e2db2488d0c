"""The context of every part of the local AWS: endpoint, region, account and clients."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from local_aws import service_models
from local_aws.iam.principals import AccessKey, read_administrator_key

_session: Any = boto3.session.Session(botocore_session=service_models.session)


@cache
def _create_client(endpoint_url: str, region: str, service: str, key: AccessKey) -> Any:
    # Nothing gets lost between two threads of a process.
    checksums = {
        "request_checksum_calculation": "when_required",
        "response_checksum_validation": "when_required",
    }
    return _session.client(service, **client_options(endpoint_url, region, key, **checksums))


def client_options(endpoint_url: str, region: str, key: AccessKey, **config: Any) -> dict[str, Any]:
    """Arguments for a client of this local AWS; `config` is botocore's."""
    return {
        "endpoint_url": endpoint_url,
        "region_name": region,
        "aws_access_key_id": key.id,
        "aws_secret_access_key": key.secret,
        "aws_session_token": key.token,
        "config": Config(
            # A retry would hide the first answer, which names the error.
            retries={"total_max_attempts": 1},
            max_pool_connections=64,
            connect_timeout=5,
            # The longest a Lambda function may run.
            read_timeout=900,
            **config,
        ),
    }


@dataclass(frozen=True)
class Context:
    """One local AWS.

    Args:
        endpoint_url: The URL, without a final slash, at which every service answers.
        region: Default region of clients.
        state_dir: An existing scratch folder for logs, unpacked files and the administrator's key.
        account_id: The only account.
    """

    endpoint_url: str
    region: str
    state_dir: Path
    account_id: str = "123456789012"

    @cached_property
    def administrator(self) -> AccessKey:
        """The key of this start, with which one may do everything.

        Raises:
            OSError: This local AWS has not been started.
        """
        return read_administrator_key(self.account_id, self.state_dir)

    def client(self, service: str, region: str | None = None, key: AccessKey | None = None) -> Any:
        """The boto3 client of `service` at this local AWS, without retries.

        The same arguments give the same client, which any thread may use.

        Args:
            key: Whose requests it makes; by default the administrator's.
        """
        signed_by = key or self.administrator
        with service_models.session_lock:
            return _create_client(self.endpoint_url, region or self.region, service, signed_by)

    def environment(
        self, region: str | None = None, key: AccessKey | None = None
    ) -> dict[str, str]:
        """Environment variables that point any AWS SDK in a child process to this local AWS.

        It acts as the administrator.
        """
        name = region or self.region
        return {
            **(key or self.administrator).environment,
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_REGION": name,
            "AWS_DEFAULT_REGION": name,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
