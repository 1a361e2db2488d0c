"""Where a command acts: on AWS, or on the local AWS of this checkout."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config

from local_aws.context import Context
from tools.local_app import LOCAL_STAGE, find_running, run_cdk


@dataclass(frozen=True)
class Target:
    """An AWS to act on.

    region: of the stage's stacks. local: the local AWS; None is AWS itself, with the credentials
    of the environment.
    """

    region: str
    local: Context | None = None

    def client(self, service: str) -> Any:
        """A boto3 client of the stage's region."""
        if self.local is not None:
            return self.local.client(service)
        config = Config(retries={"mode": "standard"}, user_agent_appid="faq-search")
        return boto3.client(service, region_name=self.region, config=config)

    def cdk(self, *arguments: str) -> int:
        """Runs the real CDK command line against it; returns its exit status."""
        return run_cdk(arguments, self.local.environment() if self.local else dict(os.environ))


def add_target_options(parser: argparse.ArgumentParser) -> None:
    """`--stage` and `--local`, which find_target reads."""
    parser.add_argument(
        "--stage",
        default=LOCAL_STAGE,
        help=f"the settings: config/<stage>.toml; default {LOCAL_STAGE}, on the local AWS",
    )
    parser.add_argument(
        "--local", action="store_true", help="any stage on the local AWS, instead of AWS"
    )


def find_target(stage: str, region: str, *, local: bool = False) -> Target:
    """The local AWS for the stage `local` or where asked for, else AWS.

    Raises LocalError where the local AWS is wanted and none runs.
    """
    if local or stage == LOCAL_STAGE:
        running = find_running()
        return Target(running.region, running.context)
    return Target(region)
