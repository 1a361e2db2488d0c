"""The local AWS of this checkout: where its state lies, and whether it runs."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from commands.errors import CommandError

if TYPE_CHECKING:
    from local_aws.context import Context

ROOT = Path(__file__).parent.parent
STATE = Path(os.environ.get("LOCAL_STATE", ROOT / ".local"))
API_FILE = STATE / "api.json"
RUNNING_FILE = STATE / "running.json"
LOG_FILE = STATE / "local_aws.log"
ASSEMBLY = STATE / "cdk.out"
LOCAL_STAGE = "local"


class NotRunningError(CommandError):
    """No local AWS runs."""


@dataclass(frozen=True)
class Running:
    """A local AWS that answers: where, in which process, and what it was started with.

    deployed: stage, corpus and config of `make local`, which the other commands use as well.
    """

    endpoint_url: str
    region: str
    pid: int
    deployed: dict[str, str]

    @property
    def context(self) -> Context:
        from local_aws.context import Context

        return Context(self.endpoint_url, self.region, STATE)

    @property
    def cdk_environment(self) -> dict[str, str]:
        """What makes the CDK command line act here.

        Templates are judged by AWS's rules, which takes longer than all the rest of a synth, only
        where they are for AWS: the local one refuses what it does not know by itself.
        """
        return {**self.context.environment(), "CDK_VALIDATION": "false"}


def find_running() -> Running:
    """The local AWS that was started from this checkout. Raises NotRunningError."""
    try:
        running = Running(**json.loads(RUNNING_FILE.read_text()))
        os.kill(running.pid, 0)
    except (OSError, ValueError, TypeError) as error:
        raise NotRunningError("No local AWS is running. Start one: make local") from error
    return running
