"""Step Functions: connects the state machines that moto interprets to the local AWS."""

from __future__ import annotations

import logging
from datetime import UTC
from functools import cache
from typing import Any

import boto3
import botocore.session
from botocore.utils import parse_timestamp

from local_aws import events, moto_adapter, service_models
from local_aws.context import Context, client_options
from local_aws.iam.access import Access
from local_aws.iam.principals import AccessKey

logger = logging.getLogger(__name__)


def _to_iso(value: Any) -> str:
    moment = parse_timestamp(value).astimezone(UTC)
    return f"{moment.strftime('%Y-%m-%dT%H:%M:%S')}.{moment.microsecond // 1000:03d}Z"


@cache
def _create_client(endpoint_url: str, region: str, service: str, key: AccessKey) -> Any:
    session: Any = botocore.session.Session()
    session.register_component("data_loader", service_models.loader)
    # States hold JSON, where times are strings; a Choice can compare them.
    factory = session.get_component("response_parser_factory")
    factory.set_parser_defaults(timestamp_parser=_to_iso)
    clients: Any = boto3.session.Session(botocore_session=session)
    # A Catch names the error of the service, not of the client.
    options = client_options(endpoint_url, region, key, parameter_validation=False)
    return clients.client(service, **options)


class StateMachines:
    """Lets executions act on this local AWS and reports their ends to EventBridge.

    Starts, which AWS reports as RUNNING, are not reported.
    """

    def __init__(self, context: Context, access: Access) -> None:
        # moto logs every caught error of a state with its whole parse tree; the execution's
        # history and end have the error too.
        logging.getLogger("moto.stepfunctions").setLevel(logging.CRITICAL)
        self._context = context
        self._access = access
        moto_adapter.execution_hosts.add(self)

    def client(self, service: str, region: str, role_arn: str, state_machine_arn: str) -> Any:
        """The client with which an execution's tasks call a service: that of its role."""
        principal = self._access.assume(
            role_arn, "states.amazonaws.com", "StepFunctions", state_machine_arn
        )
        with service_models.session_lock:
            return _create_client(
                self._context.endpoint_url, region, service, self._access.key_of(principal)
            )

    def execution_ended(self, execution: moto_adapter.EndedExecution) -> None:
        """Delivers "Step Functions Execution Status Change"."""
        if execution.status != "SUCCEEDED":
            logger.warning(
                "execution %s: %s: %s: %s",
                execution.name,
                execution.status,
                execution.error,
                execution.cause,
            )
        detail: dict[str, Any] = {
            "executionArn": execution.arn,
            "stateMachineArn": execution.state_machine_arn,
            "name": execution.name,
            "status": execution.status,
            "startDate": round(execution.started.timestamp() * 1000),
            "stopDate": round(execution.stopped.timestamp() * 1000),
            "input": execution.input,
            "inputDetails": {"included": True},
            "output": execution.output,
            "outputDetails": {"included": True} if execution.output is not None else None,
            "error": execution.error,
            "cause": execution.cause,
        }
        events.deliver(
            self._context,
            self._access,
            source="aws.states",
            detail_type="Step Functions Execution Status Change",
            detail=detail,
            resources=[execution.arn],
        )

    def close(self) -> None:
        """Executions that still run end with the process."""
        moto_adapter.execution_hosts.remove(self)
