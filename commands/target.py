"""Where a command acts: on AWS, or on the local AWS of this checkout."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from commands.local_state import ASSEMBLY, LOCAL_STAGE, Running, find_running

# The AWS SDK, the CDK command line and the settings are imported where they are used: a command
# that refuses does so before any of them has loaded.
if TYPE_CHECKING:
    from commands.clients import Clients
    from stage.settings import Settings


@dataclass(frozen=True)
class Choice:
    """What is deployed: the settings of a stage, perhaps with another corpus.

    context: the CDK's context values that lead to the same settings.
    """

    settings: Settings
    context: dict[str, str]

    @classmethod
    def read(
        cls,
        stage: str,
        corpus: str | None = None,
        config: str | None = None,
        reuse: str | None = None,
    ) -> Choice:
        """Raises SettingsError when the settings or the corpus are wrong."""
        from stage.settings import load_settings

        context = {"stage": stage, "corpus": corpus, "config": config, "reuse": reuse}
        settings = load_settings(stage, corpus, config, reuse)
        return cls(settings, {k: v for k, v in context.items() if v})

    @property
    def context_options(self) -> list[str]:
        """The options by which the CDK command line synthesises these settings."""
        return [part for k, v in self.context.items() for part in ("-c", f"{k}={v}")]

    @property
    def synth_options(self) -> list[str]:
        """The same, with where to synthesise for the local AWS."""
        return ["--output", str(ASSEMBLY), *self.context_options]


@dataclass(frozen=True)
class Target:
    """An AWS to act on.

    region: of the stage's stacks. local: the local AWS; None is AWS itself, with the credentials
    of the environment.
    """

    region: str
    local: Running | None = None

    @property
    def client(self) -> Clients:
        """Gives boto3's clients of the stage's region, or of another one."""
        return self._client

    def _client(self, service: str, region: str | None = None) -> Any:
        if self.local is not None:
            return self.local.context.client(service, region)
        import boto3
        from botocore.config import Config

        config = Config(
            retries={"mode": "standard"},
            user_agent_appid="faq-search",  # type: ignore[call-arg]
        )
        make_client: Any = boto3.client
        return make_client(service, region_name=region or self.region, config=config)

    def find_stack(self, name: str) -> Mapping[str, Any] | None:
        """A deployed stack as CloudFormation describes it; None where there is none."""
        from botocore.exceptions import ClientError

        try:
            answer = self.client("cloudformation").describe_stacks(StackName=name)
        except ClientError as error:
            if "does not exist" not in str(error):
                raise
            return None
        stack = answer["Stacks"][0]
        # One that only a change set has touched has no resources yet.
        return None if stack.get("StackStatus") == "REVIEW_IN_PROGRESS" else stack

    def cdk(self, *arguments: str, quiet: bool = False, output: IO[str] | None = None) -> int:
        """Runs the real CDK command line against it; see run_cdk."""
        from commands.cdk_cli import run_cdk

        environment = self.local.cdk_environment if self.local else dict(os.environ)
        return run_cdk(arguments, environment, quiet=quiet, output=output)


def add_target_arguments(parser: argparse.ArgumentParser) -> None:
    """`--stage`, `--local`, `--corpus` and `--config`, which `choose` reads."""
    parser.add_argument(
        "--stage",
        help="the settings, config/<stage>.toml, and AWS; default: the local AWS, with the"
        " settings it was started with",
    )
    parser.add_argument("--local", action="store_true", help="that stage on the local AWS")
    parser.add_argument("--corpus", help="a corpus file instead of the one in the settings")
    parser.add_argument("--config", help="a folder with settings, instead of config")


def choose(options: argparse.Namespace) -> tuple[Target, Choice]:
    """The AWS to act on, and the settings.

    Without a stage both are those of the running local AWS. With one it is AWS, and with `--local`
    that stage on the local AWS.

    Raises SettingsError, and CommandError where the local AWS is wanted and none runs.
    """
    given = {"corpus": options.corpus, "config": options.config}
    if options.stage not in (None, LOCAL_STAGE) and not options.local:
        choice = Choice.read(options.stage, **given)
        return Target(choice.settings.region), choice
    running = find_running()
    stage = options.stage or running.deployed["stage"]
    if stage == running.deployed["stage"]:  # another stage has another corpus
        given = {**running.deployed, **{k: v for k, v in given.items() if v}}
    choice = Choice.read(**{**given, "stage": stage})
    return Target(running.region, running), choice
