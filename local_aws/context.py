"""What every part of the local AWS must know: where it listens and under which account."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import boto3
from botocore.client import BaseClient
from botocore.config import Config

ACCESS_KEY_ID = "local"
SECRET_ACCESS_KEY = "local-secret"  # noqa: S105  a fixed fake: nothing outside accepts it

# Sessions are not safe to create clients from in several threads at once. One for all of them:
# each reads the descriptions of AWS's services and regions for itself.
_creating = threading.Lock()
_session = boto3.session.Session()


@cache
def _create_client(endpoint_url: str, region: str, service: str) -> BaseClient:
    return _session.client(
        service,
        endpoint_url=endpoint_url,
        region_name=region,
        aws_access_key_id=ACCESS_KEY_ID,
        aws_secret_access_key=SECRET_ACCESS_KEY,
        config=Config(
            # A repeated request would hide the first answer, which is the one to look at.
            retries={"total_max_attempts": 1},
            max_pool_connections=64,
            connect_timeout=5,
            # The longest a Lambda function may run.
            read_timeout=900,
            # Nothing is lost between two threads of a process.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


@dataclass(frozen=True)
class Context:
    """One local AWS.

    Args:
        endpoint_url: The one URL, without a final slash, at which every service answers.
        region: Region of clients that do not name one.
        state_dir: Scratch folder that exists; logs and unpacked files go below it.
        account_id: The only account there is.
    """

    endpoint_url: str
    region: str
    state_dir: Path
    account_id: str = "123456789012"

    def client(self, service: str, region: str | None = None) -> BaseClient:
        """A boto3 client of `service` at this local AWS, without retries.

        Clients are shared: asking twice gives the same object. Safe in any thread.
        """
        with _creating:
            return _create_client(self.endpoint_url, region or self.region, service)

    def environment(self, region: str | None = None) -> dict[str, str]:
        """Environment variables with which any AWS SDK in a child process comes here."""
        name = region or self.region
        return {
            "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
            "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_REGION": name,
            "AWS_DEFAULT_REGION": name,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
