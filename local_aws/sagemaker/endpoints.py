"""Endpoints: a name that always leads to one healthy fleet.

Every update is blue/green and all at once: the new fleet must be healthy before traffic goes
there, and the old one ends when its last request is answered. A DeploymentConfig is stored and
told again; its canary and linear steps and its waits are not walked through here.
"""

from __future__ import annotations

import itertools
import logging
import shutil
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_aws.context import Context
from local_aws.sagemaker.children import Children
from local_aws.sagemaker.endpoint_configs import EndpointConfigs
from local_aws.sagemaker.errors import already_exists, invalid, not_found
from local_aws.sagemaker.fleet import Fleet, FleetError, Variant
from local_aws.sagemaker.model_data import ModelDataCache
from local_aws.sagemaker.resources import arn_of, list_page, now, select_members
from local_aws.sagemaker.tags import Action, Tags

_log = logging.getLogger(__name__)
# No invocation lasts longer.
_DRAIN_SECONDS = 60.0
# Logs outlive their endpoint, since a failed one is deleted at once by whoever deployed it.
_KEPT_LOGS = 5


@dataclass
class Endpoint:
    """An endpoint's record, in the words of the API, and what serves it."""

    record: dict[str, Any]
    fleet: Fleet | None = None
    next_fleet: Fleet | None = None
    deleted: bool = False


class Endpoints:
    """Endpoints by lower-case name, since two names that differ by case alone clash."""

    def __init__(
        self,
        context: Context,
        configs: EndpointConfigs,
        tags: Tags,
        children: Children,
    ) -> None:
        self._context = context
        self._configs = configs
        self._tags = tags
        self._children = children
        self._folder = context.state_dir / "sagemaker" / "endpoints"
        self._log_folder = context.state_dir / "logs" / "endpoints"
        self._cache = ModelDataCache(
            context.state_dir / "sagemaker" / "model-data", context.client("s3")
        )
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()
        self._endpoints: dict[str, Endpoint] = {}

    def actions(self) -> dict[str, Action]:
        """The API's actions by name."""
        return {
            "CreateEndpoint": self._create,
            "UpdateEndpoint": self._update,
            "DescribeEndpoint": self._describe,
            "DeleteEndpoint": self._delete,
            "ListEndpoints": self._list,
        }

    def enter_fleet(self, name: str) -> Fleet | None:
        """The fleet that serves an endpoint, entered; None when there is none."""
        with self._lock:
            endpoint = self._endpoints.get(name.lower())
            if endpoint is None or endpoint.fleet is None:
                return None
            endpoint.fleet.enter()
            return endpoint.fleet

    def close(self) -> None:
        """Ends every fleet."""
        with self._lock:
            endpoints = list(self._endpoints.values())
            self._endpoints.clear()
        for endpoint in endpoints:
            endpoint.deleted = True
            if endpoint.fleet is not None:
                endpoint.fleet.close()

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["EndpointName"]
        arn = self._arn(name)
        with self._lock:
            if name.lower() in self._endpoints:
                raise already_exists("endpoint", arn)
            variants = self._configs.variants(request["EndpointConfigName"])
            endpoint = Endpoint(
                {
                    "EndpointName": name,
                    "EndpointArn": arn,
                    "EndpointConfigName": request["EndpointConfigName"],
                    "EndpointStatus": "Creating",
                    "LastDeploymentConfig": request.get("DeploymentConfig"),
                    "CreationTime": now(),
                    "LastModifiedTime": now(),
                }
            )
            self._endpoints[name.lower()] = endpoint
            self._tags.put(arn, request.get("Tags"))
            self._begin(endpoint, request["EndpointConfigName"], variants)
        return {"EndpointArn": arn}

    def _update(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            endpoint = self._find(request["EndpointName"])
            record = endpoint.record
            if record["EndpointStatus"] in {"Creating", "Updating"}:
                raise invalid(f'Cannot update in-progress endpoint "{record["EndpointArn"]}".')
            if record["EndpointStatus"] != "InService":
                raise invalid(
                    f'Cannot update endpoint "{record["EndpointArn"]}" in status '
                    f"{record['EndpointStatus']}."
                )
            name = request["EndpointConfigName"]
            variants = self._configs.variants(name)
            if not request.get("RetainDeploymentConfig"):
                record["LastDeploymentConfig"] = request.get("DeploymentConfig")
            record.update(EndpointStatus="Updating", LastModifiedTime=now())
            record.pop("FailureReason", None)
            record["PendingDeploymentSummary"] = {
                "EndpointConfigName": name,
                "StartTime": now(),
                "ProductionVariants": [_summary(variant, pending=True) for variant in variants],
            }
            self._begin(endpoint, name, variants)
        return {"EndpointArn": record["EndpointArn"]}

    def _begin(self, endpoint: Endpoint, config: str, variants: list[Variant]) -> None:
        name = endpoint.record["EndpointName"].lower()
        folder = self._folder / name
        folder.mkdir(parents=True, exist_ok=True)
        fleet = Fleet(
            endpoint.record["EndpointName"],
            next(self._numbers),
            variants,
            folder,
            _make_log_folder(self._log_folder / name),
        )
        endpoint.next_fleet = fleet
        threading.Thread(
            target=self._deploy, args=(endpoint, config, fleet), name="deploy", daemon=True
        ).start()

    def _deploy(self, endpoint: Endpoint, config: str, fleet: Fleet) -> None:
        name = endpoint.record["EndpointName"]
        try:
            fleet.start(self._children, self._cache)
        except FleetError as error:
            self._abandon(endpoint, fleet, str(error))
            return
        except Exception as error:
            if not endpoint.deleted:
                _log.exception("endpoint %s: deployment failed", name)
            self._abandon(endpoint, fleet, f"Request to service failed: {error}")
            return
        with self._lock:
            old, endpoint.fleet, endpoint.next_fleet = endpoint.fleet, fleet, None
            if endpoint.deleted:
                old = fleet
            else:
                endpoint.record.update(
                    EndpointConfigName=config, EndpointStatus="InService", LastModifiedTime=now()
                )
                endpoint.record.pop("PendingDeploymentSummary", None)
                _log.info("endpoint %s is in service with %s", name, config)
        if old is not None:
            old.drain(_DRAIN_SECONDS)
            old.close()

    def _abandon(self, endpoint: Endpoint, fleet: Fleet, reason: str) -> None:
        fleet.close()
        with self._lock:
            endpoint.next_fleet = None
            endpoint.record["EndpointStatus"] = "InService" if endpoint.fleet else "Failed"
            endpoint.record.update(FailureReason=reason[:1024], LastModifiedTime=now())
            endpoint.record.pop("PendingDeploymentSummary", None)
            if not endpoint.deleted:
                _log.error("endpoint %s: %s", endpoint.record["EndpointName"], reason)

    def _describe(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            endpoint = self._find(request["EndpointName"])
            answer = select_members("DescribeEndpoint", endpoint.record)
            if endpoint.fleet is not None:
                answer["ProductionVariants"] = [
                    _summary(variant, pending=False) for variant in endpoint.fleet.variants
                ]
        return answer

    def _delete(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            endpoint = self._find(request["EndpointName"])
            endpoint.deleted = True
            name = endpoint.record["EndpointName"].lower()
            del self._endpoints[name]
            self._tags.forget(endpoint.record["EndpointArn"])
            fleet, endpoint.fleet = endpoint.fleet, None
            if endpoint.next_fleet is not None:
                endpoint.next_fleet.cancel()
        if fleet is not None:
            fleet.close()
        shutil.rmtree(self._folder / name, ignore_errors=True)
        return {}

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            records = [endpoint.record for endpoint in self._endpoints.values()]
            return list_page(request, records, kind="Endpoint", answer="Endpoints")

    def _find(self, name: str) -> Endpoint:
        endpoint = self._endpoints.get(name.lower())
        if endpoint is None:
            raise not_found("endpoint", self._arn(name))
        return endpoint

    def _arn(self, name: str) -> str:
        return arn_of(self._context, "endpoint", name)


def _make_log_folder(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for log in sorted(folder.iterdir())[:-_KEPT_LOGS]:
        log.unlink()
    return folder


def _summary(variant: Variant, *, pending: bool) -> dict[str, Any]:
    count = variant.settings.get("InitialInstanceCount", 1)
    summary: dict[str, Any] = {
        "VariantName": variant.name,
        "DeployedImages": [{"SpecifiedImage": variant.container.get("Image", "")}],
        "CurrentWeight": 0.0 if pending else variant.weight,
        "DesiredWeight": variant.weight,
        "CurrentInstanceCount": 0 if pending else count,
        "DesiredInstanceCount": count,
    }
    if pending and "InstanceType" in variant.settings:
        summary["InstanceType"] = variant.settings["InstanceType"]
    return summary
