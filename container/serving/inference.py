"""The functions that the Hugging Face inference toolkit looks for in an artifact's code folder.

The toolkit's server answers its health check with 200 even when a model failed to load, and a new
fleet would take traffic it cannot serve. So a failure to load ends the server.
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

log = logging.getLogger(__name__)

_HERE = Path(__file__).resolve().parent
# The server passes its workers' output on to the log; it needs a moment for the last line.
RELAY_SECONDS = 0.5
# multi-model-server's main class, by which SageMaker's own toolkit finds its process as well.
MODEL_SERVER = "com.amazonaws.ml.mms.ModelServer"
_PROC = Path("/proc")


def model_fn(model_dir: str) -> Service:
    """Opens the artifact in ``model_dir``; ends the server where that fails."""
    try:
        _find_code()
        # Not at the top: a failure to import must end the server as well.
        from container.serving.service import Service  # noqa: PLC0415

        started = time.monotonic()
        service = Service.open(Path(model_dir), os.environ.get("BAKE_ID"), _encoder_loader())
        log.info("Artifact opened in %.1f s", time.monotonic() - started)
        return service
    except Exception as fault:
        _end_server(f"{type(fault).__name__}: {fault}")


def transform_fn(
    model: Service,
    data: Body,
    content_type: str | None,
    accept: str | None,  # noqa: ARG001 - the toolkit's signature
) -> str:
    """Answers one request. The answer is JSON (JSON lines for JSON lines), whatever ``accept``.

    Raises exceptions whose text is ``<code>: <sentence>``, with the codes ``invalid_request`` and
    ``internal_error``; the server sends them as the message of a status 400.
    """
    return model.answer(data, content_type)


def _encoder_loader() -> EncoderLoader:
    """One worker holds the model itself; several share a process that does.

    A server that preloads calls ``model_fn`` once, and forks its workers from that process, which
    a model that has threads would not survive. Otherwise each of the workers, children of one
    process, calls it.
    """
    preload = os.environ.get("MMS_PRELOAD_MODEL", "").lower() == "true"
    if not preload and int(os.environ.get("SAGEMAKER_MODEL_SERVER_WORKERS") or 1) == 1:
        from container.encoder.load import load_encoder  # noqa: PLC0415 - as above

        return load_encoder
    from container.encoder.remote import shared_encoder  # noqa: PLC0415 - as above

    server = os.getpid() if preload else os.getppid()
    return partial(shared_encoder, server=server, lost=_end_server)


def _find_code() -> None:
    """In an artifact, our packages lie beside this file, and vendored ones below it.

    Ours come first. The vendored ones come last: where the machine has its own, built for its own
    Python, those are the right ones.
    """
    if (_HERE / "container").is_dir() and str(_HERE) not in sys.path[:1]:
        sys.path.insert(0, str(_HERE))
    vendor = str(_HERE / "vendor")
    if Path(vendor).is_dir() and vendor not in sys.path:
        sys.path.append(vendor)


def _end_server(reason: str) -> Never:
    """Ends the server process, so that nothing answers the health check any more.

    For when a load failed, and when the encoder process is lost.

    Under multi-model-server this process is a worker, forked by a process that the server, a Java
    process, started; alone it would be replaced for ever. Elsewhere this process is the server.
    The server is killed, since asked to stop it would answer the health check for seconds more.
    No other process is: under a local server, an IDE or a CI server in Java may be above this one.
    """
    print(
        f"faq-search cannot serve this artifact: {reason}. Ending the server.",
        file=sys.stderr,
        flush=True,
    )
    server = model_server()
    if server is not None:
        time.sleep(RELAY_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.kill(server, signal.SIGKILL)
    os._exit(1)


def model_server() -> int | None:
    """The multi-model-server above this process, where there is one (and a /proc to find it by)."""
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
