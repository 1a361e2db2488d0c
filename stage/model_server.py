"""How many workers the model server starts on an instance."""

from __future__ import annotations

from typing import Final

# The server gives each worker one request at a time. The workers share one process, which holds
# the model and encodes together what arrives together.
# A CPU worker is forked from a process that has loaded the model, and adds about 40 MB.
CPU_WORKERS: Final = {"SAGEMAKER_MODEL_SERVER_WORKERS": "8", "MMS_PRELOAD_MODEL": "true"}
# On a GPU the image's toolkit cannot load the model before the fork (it asks for the worker's GPU
# when there is no worker yet), so each worker imports everything that the toolkit imports.
GPU_WORKERS: Final = {"SAGEMAKER_MODEL_SERVER_WORKERS": "4"}
