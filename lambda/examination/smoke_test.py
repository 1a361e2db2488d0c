"""The custom resource Custom::SmokeTest: a deployment succeeds only if its endpoints answer.

An endpoint is in service as soon as its server answers, whatever the model does. So each is
asked which bake it serves, and then what the bake's own probes ask.
"""

from __future__ import annotations

import logging
import time
from typing import Any

import boto3
from botocore.config import Config

from boto_config import PATIENT
from custom_resource import answer
from examination.endpoint import Endpoint, EndpointError
from examination.probes import difference, probes_of
from stack_status import is_rolling_back

# What of the function's time is kept back for the answer.
_RESERVE_SECONDS = 30.0
_PAUSES_SECONDS = (1.0, 2.0, 4.0, 8.0)
# SageMaker lets a model compute for 60 seconds. Retries are the endpoint module's business.
_INVOKE = Config(retries={"total_max_attempts": 1}, connect_timeout=5, read_timeout=65)

logging.getLogger().setLevel(logging.INFO)
_log = logging.getLogger(__name__)

_runtime = boto3.client("sagemaker-runtime", config=_INVOKE)
_cloudformation = boto3.client("cloudformation", config=PATIENT)


def handler(event: dict[str, Any], context: Any) -> None:
    """Test each endpoint and answer CloudFormation; under rollback faults are only logged."""
    physical_id = event.get("PhysicalResourceId", event["LogicalResourceId"])
    if event["RequestType"] == "Delete":
        answer(event, "SUCCESS", physical_id=physical_id)
        return
    remaining = context.get_remaining_time_in_millis() / 1000
    give_up_at = time.monotonic() + remaining - _RESERVE_SECONDS
    try:
        faults = _test(event["ResourceProperties"], give_up_at)
    except Exception as error:
        # Nobody else answers CloudFormation, so no error may escape from here.
        _log.exception("The smoke test broke")
        faults = [f"The smoke test could not be carried out: {error!r}."]
    for fault in faults:
        _log.error(fault)
    if faults and not is_rolling_back(_cloudformation, event["StackId"]):
        answer(event, "FAILED", physical_id=physical_id, reason=" ".join(faults))
    else:
        answer(event, "SUCCESS", physical_id=physical_id)


def _test(properties: dict[str, Any], give_up_at: float) -> list[str]:
    tolerance = float(properties["Tolerance"])
    faults = []
    for name in properties["EndpointNames"]:
        endpoint = Endpoint(_runtime, name, give_up_at, _PAUSES_SECONDS)
        try:
            fault = _fault(endpoint, properties["BakeId"], tolerance)
        except EndpointError as error:
            fault = f"no answer: {error}"
        except (KeyError, IndexError, TypeError, ValueError) as error:
            fault = f"an answer that is not as agreed: {error!r}"
        if fault:
            faults.append(f"Endpoint {name} fails the smoke test: {fault.rstrip('.')}.")
    return faults


def _fault(endpoint: Endpoint, bake_id: str, tolerance: float) -> str | None:
    """What is wrong with the endpoint, in words; None where nothing is."""
    manifest: Any = endpoint.ask({"mode": "info"})
    if manifest["bake_id"] != bake_id:
        return f"it serves bake {manifest['bake_id']} instead of {bake_id}"
    probes = probes_of(manifest)
    if not probes:
        return "the manifest of its bake has no probes"
    answers: Any = endpoint.ask(
        {
            "queries": [probe.query for probe in probes],
            "top_k": max(len(probe.ids) for probe in probes),
            "mode": "nn_train_data",
        }
    )
    for probe, hits in zip(probes, answers, strict=True):
        found = difference(probe, hits, tolerance)
        if found:
            return found
    return None
