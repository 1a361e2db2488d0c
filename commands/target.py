"""Where a command acts: on AWS, or on the local AWS of this checkout."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from typing import IO, Any

import boto3
from botocore.config import Config

from commands.cdk_cli import Choice, run_cdk
from commands.local_state import LOCAL_STAGE, Running, find_running


@dataclass(frozen=True)
class Target:
    """An AWS to act on.

    region: of the stage's stacks. local: the local AWS; None is AWS itself, with the credentials
    of the environment.
    """

    region: str
    local: Running | None = None

    def client(self, service: str) -> Any:
        """A boto3 client of the stage's region."""
        if self.local is not None:
            return self.local.context.client(service)
        config = Config(retries={"mode": "standard"}, user_agent_appid="faq-search")
        return boto3.client(service, region_name=self.region, config=config)

    def cdk(self, *arguments: str, quiet: bool = False, output: IO[str] | None = None) -> int:
        """Runs the real CDK command line against it; see run_cdk."""
        environment = self.local.cdk_environment if self.local else dict(os.environ)
        return run_cdk(arguments, environment, quiet=quiet, output=output)


def add_options(parser: argparse.ArgumentParser) -> None:
    """`--stage`, `--local`, `--corpus` and `--config`, which `choose` reads."""
    parser.add_argument(
        "--stage",
        help="the settings, config/<stage>.toml, and AWS; default: the local AWS, with the"
        " settings that it was started for",
    )
    parser.add_argument("--local", action="store_true", help="that stage on the local AWS")
    parser.add_argument("--corpus", help="a corpus file instead of the one in the settings")
    parser.add_argument("--config", help="a folder with settings, instead of config")


def choose(options: argparse.Namespace, *, reuse: str | None = None) -> tuple[Target, Choice]:
    """The AWS to act on and the settings to go by.

    Without a stage both are those of the local AWS that runs. With one it is AWS, and with
    `--local` that stage on the local AWS.

    reuse: a bake id to serve without training.
    Raises SettingsError, and LocalError where the local AWS is wanted and none runs.
    """
    given = {"corpus": options.corpus, "config": options.config, "reuse": reuse}
    if options.stage not in (None, LOCAL_STAGE) and not options.local:
        choice = Choice.read(options.stage, **given)
        return Target(choice.settings.region), choice
    running = find_running()
    stage = options.stage or running.deployed["stage"]
    if stage == running.deployed["stage"]:  # another stage has another corpus
        given = {**running.deployed, **{k: v for k, v in given.items() if v}}
    choice = Choice.read(**{**given, "stage": stage})
    return Target(running.region, running), choice
