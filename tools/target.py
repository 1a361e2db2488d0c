"""Where a command acts: on AWS, or on the local AWS of this checkout."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from typing import IO, Any

import boto3
from botocore.config import Config

from local_aws.context import Context
from tools.cdk_cli import run_cdk
from tools.local_state import LOCAL_STAGE, find_running


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

    def cdk(self, *arguments: str, quiet: bool = False, output: IO[str] | None = None) -> int:
        """Runs the real CDK command line against it; see run_cdk."""
        environment = self.local.environment() if self.local else dict(os.environ)
        return run_cdk(arguments, environment, quiet=quiet, output=output)


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


def add_choice_options(parser: argparse.ArgumentParser) -> None:
    """`--corpus` and `--config`, for Choice.read."""
    parser.add_argument("--corpus", help="a corpus file instead of the one in the settings")
    parser.add_argument("--config", help="a folder with settings, instead of config")


def find_target(stage: str, region: str, *, local: bool = False) -> Target:
    """The local AWS for the stage `local` or where asked for, else AWS.

    Raises LocalError where the local AWS is wanted and none runs.
    """
    if local or stage == LOCAL_STAGE:
        running = find_running()
        return Target(running.region, running.context)
    return Target(region)
