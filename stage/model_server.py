"""How the model server of an endpoint or transform job is set up, by environment variables."""

from __future__ import annotations

from typing import Final

from contract.batch_objects import INVOCATION_SECONDS

# The server gives each worker one request at a time. The workers share one process, which holds
# the model and encodes together what arrives together: at most one request of each worker, so many
# workers make large batches. Sixteen answer a tenth to a fifth more than eight when 16 or 64
# callers ask short questions, and take 80 MB more; a lone caller sees no difference.
# A CPU worker is forked from a process that has loaded the model.
CPU_WORKERS: Final = {"SAGEMAKER_MODEL_SERVER_WORKERS": "16", "MMS_PRELOAD_MODEL": "true"}
# On a GPU the image's toolkit cannot load the model before the fork (it asks for the worker's GPU
# when there is no worker yet), so each worker imports everything that the toolkit imports.
GPU_WORKERS: Final = {"SAGEMAKER_MODEL_SERVER_WORKERS": "4"}

LIMITS: Final = {
    # For a request, and for a worker's load, after which the server gives the worker up. An
    # endpoint's caller waits a minute at most, whatever the limit is; a transform job waits longer.
    "SAGEMAKER_MODEL_SERVER_TIMEOUT_SECONDS": str(INVOCATION_SECONDS),
}

# How many requests wait for a worker; one more gets 503 at once, and the front door asks another
# endpoint. The server answers callers who have gone, too, so a long queue (its default is 100)
# delays everybody for long after a burst of large requests. Worked on or waiting there are at most
# 24 on a CPU: a burst of questions fits, and 24 requests of a quarter of a second are answered
# within a quarter of the front door's time.
CPU_QUEUE: Final = {"MMS_JOB_QUEUE_SIZE": "8"}
GPU_QUEUE: Final = {"MMS_JOB_QUEUE_SIZE": "16"}


def environment(*, gpu: bool) -> dict[str, str]:
    """The variables for the image of one processor."""
    return LIMITS | (GPU_WORKERS | GPU_QUEUE if gpu else CPU_WORKERS | CPU_QUEUE)
