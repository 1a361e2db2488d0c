"""How the model server of an endpoint or transform job is set up, by environment variables."""

from __future__ import annotations

from typing import Final

from contract.batch_objects import INVOCATION_SECONDS

# The server gives each worker one request at a time. The workers share one process, which holds
# the model and encodes together what arrives together.
# A CPU worker is forked from a process that has loaded the model, and adds about 40 MB.
CPU_WORKERS: Final = {"SAGEMAKER_MODEL_SERVER_WORKERS": "8", "MMS_PRELOAD_MODEL": "true"}
# On a GPU the image's toolkit cannot load the model before the fork (it asks for the worker's GPU
# when there is no worker yet), so each worker imports everything that the toolkit imports.
GPU_WORKERS: Final = {"SAGEMAKER_MODEL_SERVER_WORKERS": "4"}

LIMITS: Final = {
    # For a request, and for a worker's load, after which the server gives the worker up. An
    # endpoint's caller waits a minute at most, whatever the limit is; a transform job waits longer.
    "SAGEMAKER_MODEL_SERVER_TIMEOUT_SECONDS": str(INVOCATION_SECONDS),
    # How many requests wait for a worker; one more gets 503 at once, and the front door asks
    # another endpoint. The server answers callers who have gone, too, so a long queue (its default
    # is 100) delays everybody for long after a burst of large requests. Twice the workers of a
    # CPU: a burst of questions fits, and 24 requests of a quarter of a second are answered within
    # half of the front door's time.
    "MMS_JOB_QUEUE_SIZE": "16",
}


def environment(*, gpu: bool) -> dict[str, str]:
    """The variables for the image of one processor."""
    return {**(GPU_WORKERS if gpu else CPU_WORKERS), **LIMITS}
