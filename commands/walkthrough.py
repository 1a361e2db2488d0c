"""`make walkthrough`: runs notebooks/walkthrough.ipynb against a stage.

On AWS with the credentials of the environment; on the local AWS as a role that has only what
docs/walkthrough-policy.json allows. Where no local AWS runs, it starts one and deploys to it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands.console import say
from commands.errors import CommandError
from commands.local_state import LOCAL_STAGE, ROOT, NotRunningError, find_running
from commands.target import Choice, Target, add_target_arguments, choose

if TYPE_CHECKING:
    from local_aws.context import Context

POLICY = ROOT / "docs/walkthrough-policy.json"
_PYTHON = ROOT / ".venv-walkthrough/bin/python"
_ROLE = "walkthrough"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which stage, and where to write."""
    add_target_arguments(parser)
    parser.add_argument(
        "--output",
        type=Path,
        default=ROOT / ".build/walkthrough",
        metavar="FOLDER",
        help="takes walkthrough.ipynb and walkthrough.html (default: .build/walkthrough)",
    )


def run(options: argparse.Namespace) -> int:
    """Runs the notebook; returns its exit status."""
    if not _PYTHON.exists():
        raise CommandError("The notebook's environment is missing: make walkthrough installs it.")
    with _deployed(options) as (target, choice):
        stage = choice.settings.stage
        if target.local is None:
            aws = {"AWS_DEFAULT_REGION": target.region, "AWS_REGION": target.region}
            where = f"AWS, stage `{stage}` in {target.region}"
            return _run_notebook({**os.environ, **aws, "STAGE": stage}, where, options.output)
        others = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        where = (
            f"this project's local AWS, stage `{stage}`, on an {_processor()}. All instance types"
            " are processes there; no time says anything about AWS"
        )
        with _signed_in(target.local.context, stage) as aws:
            return _run_notebook({**others, **aws, "STAGE": stage}, where, options.output)


@contextmanager
def _deployed(options: argparse.Namespace) -> Iterator[tuple[Target, Choice]]:
    """The AWS to act on; one that this starts where none runs and none was named."""
    if options.stage is None:
        try:
            find_running()
        except NotRunningError:
            with _started(Choice.read(LOCAL_STAGE, options.corpus, options.config)) as started:
                yield started
            return
    yield choose(options)


@contextmanager
def _started(choice: Choice) -> Iterator[tuple[Target, Choice]]:
    from commands import local_app

    with local_app.serving(choice) as running:
        say(f"Started a local AWS at {running.endpoint_url}, since none was running.")
        weights = local_app.find_weights(choice.settings)
        if local_app.first_deploy(running, choice, weights, quiet=True):
            raise CommandError("The deployment failed; see above.")
        yield Target(running.region, running), choice


@contextmanager
def _signed_in(context: Context, stage: str) -> Iterator[dict[str, str]]:
    """The variables by which an AWS SDK acts as a role with the walk-through's policy."""
    iam, sts = context.client("iam"), context.client("sts")
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": context.account_id},
        "Action": "sts:AssumeRole",
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = iam.create_role(RoleName=_ROLE, AssumeRolePolicyDocument=document)["Role"]
    try:
        policy = read_policy(POLICY, stage, context.account_id, context.region)
        iam.put_role_policy(RoleName=_ROLE, PolicyName=_ROLE, PolicyDocument=json.dumps(policy))
        given = sts.assume_role(RoleArn=role["Arn"], RoleSessionName="notebook")["Credentials"]
        yield {
            **context.environment(),
            "AWS_ACCESS_KEY_ID": given["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"],
            "AWS_SESSION_TOKEN": given["SessionToken"],
        }
    finally:
        iam.delete_role_policy(RoleName=_ROLE, PolicyName=_ROLE)
        iam.delete_role(RoleName=_ROLE)


def read_policy(file: Path, stage: str, account: str, region: str) -> dict[str, Any]:
    """A policy of docs/, filled in for one stage."""
    text = file.read_text(encoding="utf-8")
    for name, value in (("STAGE", stage), ("ACCOUNT", account), ("REGION", region)):
        text = text.replace(name, value)
    policy: dict[str, Any] = json.loads(text)
    return policy


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text(encoding="utf-8") if cpuinfo.exists() else ""
    name = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    return f"{name[1] if name else platform.machine()} with {os.cpu_count()} CPUs"


def _run_notebook(environment: Mapping[str, str], where: str, output: Path) -> int:
    options = ["--output", str(output.resolve()), "--where", where]
    command = [str(_PYTHON), "notebooks/run.py", *options]
    with subprocess.Popen(command, cwd=ROOT, env=environment) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                process.send_signal(signal.SIGINT)  # it removes what was made; wait for that
