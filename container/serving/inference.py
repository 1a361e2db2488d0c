"""The functions that the Hugging Face inference toolkit looks for in an artifact's code folder.

The toolkit's server answers its health check with 200 even when a model failed to load, so a new
fleet would get traffic that it cannot serve. That is why a failure to load ends the server.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Never

if TYPE_CHECKING:
    from container.serving.requests import Body
    from container.serving.service import EncoderLoader, Service

logger = logging.getLogger(__name__)

_HERE = Path(__file__).resolve().parent
# The server relays its workers' output to the log and needs a moment for the last line.
RELAY_SECONDS = 0.5
# multi-model-server's main class, by which SageMaker's own toolkit finds its process too.
MODEL_SERVER = "com.amazonaws.ml.mms.ModelServer"
_PROC = Path("/proc")
# Within a minute multi-model-server must be able to start its workers: after that it answers pings
# without a model.
LOAD_SECONDS = 45


def model_fn(model_dir: str) -> Service:
    """Opens the artifact in `model_dir`; ends the server if that fails."""
    try:
        started = time.monotonic()
        _find_code()
        folder = Path(model_dir)
        loader = _encoder_loader(folder)
        # Not at the top: a failed import must end the server too.
        from container.serving.service import Service  # noqa: PLC0415

        service = Service.open(folder, os.environ.get("BAKE_ID"), loader)
        logger.info("Artifact opened in %.1f s", time.monotonic() - started)
        return service
    except Exception as error:
        _end_server(f"{type(error).__name__}: {error}")


def transform_fn(
    model: Service,
    data: Body,
    content_type: str | None,
    accept: str | None,  # noqa: ARG001 - the toolkit's signature
) -> bytes:
    """Answers one request in JSON (JSON lines for JSON lines), whatever `accept` says.

    Raises exceptions whose text is `<code>: <sentence>`, with the codes `invalid_request`,
    `time_out`, `busy` and `internal_error`; the server sends that text as the message of a status
    400.
    """
    return model.answer(data, content_type)


def load_ahead() -> None:
    """Loads the shared encoder in the process from which the server forks its workers.

    The server waits for that process before it answers the health check; without this, it would
    get requests that wait for the load. An artifact that cannot be served ends the server before
    its first answer. Other errors are left to `model_fn`, which finds them again.
    """
    if not _shares_encoder():
        return
    _find_code()
    from container.artifact import check_bake, read_manifest  # noqa: PLC0415 - found only now
    from container.encoder import shared  # noqa: PLC0415
    from container.errors import LoadError  # noqa: PLC0415

    model_dir = _HERE.parent
    try:
        check_bake(read_manifest(model_dir), os.environ.get("BAKE_ID"))
        loaded = shared.load_ahead(
            model_dir, parent=os.getpid(), server=_model_server(), seconds=LOAD_SECONDS
        )
    except LoadError as error:
        _end_server(f"{type(error).__name__}: {error}")
    if not loaded:
        print(
            f"The model is not loaded after {LOAD_SECONDS} s: the server starts without it, and "
            "requests wait.",
            flush=True,
        )


def _encoder_loader(model_dir: Path) -> EncoderLoader:
    """What opens the model in `model_dir`.

    A single worker holds the model itself; several share a process that does.

    A server that preloads calls `model_fn` once and forks its workers from that process, which a
    model with threads would not survive. A server that does not preload calls it in each worker,
    and all of them are children of one process.
    """
    if not _shares_encoder():
        from container.artifact import hash_files  # noqa: PLC0415 - as above

        # Before everything else is imported, to be done by the time that the model is loaded.
        hashes = hash_files(model_dir)
        from container.encoder.load import load_encoder  # noqa: PLC0415 - as above

        return partial(load_encoder, hashes=hashes)
    from container.encoder.remote import shared_encoder  # noqa: PLC0415 - as above

    parent = os.getpid() if _preloads() else os.getppid()
    return partial(shared_encoder, parent=parent, server=_model_server(), lost=_end_server)


def _shares_encoder() -> bool:
    return _preloads() or int(os.environ.get("SAGEMAKER_MODEL_SERVER_WORKERS") or 1) > 1


def _preloads() -> bool:
    return os.environ.get("MMS_PRELOAD_MODEL", "").lower() == "true"


def _find_code() -> None:
    """Makes our packages, beside this file in an artifact, and the vendored ones importable.

    Ours come first. The vendored ones come last: packages that the machine already has were built
    for its own Python and take precedence.
    """
    if (_HERE / "container").is_dir() and str(_HERE) not in sys.path[:1]:
        sys.path.insert(0, str(_HERE))
    vendor = str(_HERE / "vendor")
    if Path(vendor).is_dir() and vendor not in sys.path:
        sys.path.append(vendor)


def _end_server(reason: str) -> Never:
    """Ends the server process, so that nothing answers the health check any longer.

    Called when a load failed, and when the encoder process is lost.

    Under multi-model-server this process is a worker, forked by a process that the server, a Java
    process, started; if only the worker ended, the server would replace it forever. Elsewhere this
    process is the server. The server is killed because, asked to stop, it would answer the health
    check for seconds more. Nothing else is killed: under a local server this process may run below
    an IDE or a CI server written in Java.
    """
    print(
        f"faq-search cannot serve this artifact: {reason}. Ending the server.",
        file=sys.stderr,
        flush=True,
    )
    server = _model_server()
    if server is not None:
        time.sleep(RELAY_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.kill(server, signal.SIGKILL)
    os._exit(1)


def _model_server() -> int | None:
    """The multi-model-server above this process, if there is one (and a /proc to find it in)."""
    process = os.getppid()
    while process > 1:
        folder = _PROC / str(process)
        try:
            program, *arguments = os.fsdecode((folder / "cmdline").read_bytes()).split("\0")
            status = (folder / "status").read_text()
        except OSError:
            return None
        if Path(program).name == "java" and MODEL_SERVER in arguments:
            return process
        parent = next(line for line in status.splitlines() if line.startswith("PPid:"))
        process = int(parent.removeprefix("PPid:"))
    return None
