"""Access logs in a stage's format."""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path

from local_aws import moto_adapter
from local_aws.api_gateway.request import ApiRequest
from local_aws.moto_adapter import DeployedStage

_VARIABLE = re.compile(r"\$context\.[A-Za-z0-9_.]*[A-Za-z0-9_]")


class AccessLog:
    """Writes one line a request to the stage's log group and to `<api>-<stage>.log`.

    Args:
        folder: Holds these files; created if needed.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._lock = threading.Lock()

    def write(self, request: ApiRequest, stage: DeployedStage, status: int, length: int) -> None:
        """Logs an answered request, if the stage has a format."""
        layout = stage.access_log.get("format")
        if not layout:
            return
        now = time.time()
        request.context |= {
            "status": str(status),
            "responseLength": str(length),
            "responseLatency": str(int((now - request.started) * 1000)),
        }
        if request.integration_started is not None:
            elapsed = int((time.monotonic() - request.integration_started) * 1000)
            request.context["integrationLatency"] = str(elapsed)
            request.context["integration.latency"] = str(elapsed)
        line = _VARIABLE.sub(
            lambda match: request.context.get(match[0].removeprefix("$context."), "-"), layout
        ).strip()
        with self._lock, (self._folder / f"{stage.api_id}-{stage.name}.log").open("a") as file:
            file.write(f"{line}\n")
        destination = stage.access_log.get("destinationArn", "")
        if ":log-group:" in destination:
            group = destination.split(":log-group:")[1].removesuffix(":*")
            stream = f"{stage.api_id}_{stage.name}"
            moto_adapter.put_log_lines(stage.region, group, stream, [(int(now * 1000), line)])
