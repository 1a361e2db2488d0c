"""Endpoints: names that always lead to a healthy fleet.

All updates are blue/green: the new fleet must be healthy before it gets traffic, and the old one
ends after its last answer. Traffic moves as the DeploymentConfig says. An alarm, or a container
of the new fleet that ends meanwhile, moves it back.
"""

from __future__ import annotations

import itertools
import logging
import shutil
import threading
import time
from collections.abc import Sequence
from typing import Any

from local_aws.context import Context
from local_aws.sagemaker.children import Children
from local_aws.sagemaker.deployment import Alarms, DeploymentError, DeploymentPlan
from local_aws.sagemaker.endpoint import Endpoint
from local_aws.sagemaker.fleet import Fleet, FleetError, Variant
from local_aws.sagemaker.model_data import ModelDataCache
from local_aws.sagemaker.models import EndpointConfigs
from local_aws.sagemaker.resources import (
    Action,
    already_exists,
    arn_of,
    invalid,
    list_page,
    make_log_folder,
    not_found,
    now,
)

logger = logging.getLogger(__name__)
# No invocation lasts longer.
_DRAIN_SECONDS = 60.0
_ALARM_INTERVAL = 0.3
# Logs outlive their endpoint, because a failed endpoint is deleted at once by its deployer.
_KEPT_LOGS = 5


class Endpoints:
    """Endpoints by lower-case name: names may not differ in case only."""

    def __init__(
        self,
        context: Context,
        configs: EndpointConfigs,
        children: Children,
        cache: ModelDataCache,
    ) -> None:
        self._context = context
        self._configs = configs
        self._children = children
        self._cache = cache
        self._folder = context.state_dir / "sagemaker" / "endpoints"
        self._log_folder = context.state_dir / "logs" / "endpoints"
        self._numbers = itertools.count(1)
        self._lock = threading.RLock()
        self._endpoints: dict[str, Endpoint] = {}

    def actions(self) -> dict[str, Action]:
        """The API's actions by name."""
        return {
            "CreateEndpoint": self._create,
            "UpdateEndpoint": self._update,
            "UpdateEndpointWeightsAndCapacities": self._scale,
            "DescribeEndpoint": self._describe,
            "DeleteEndpoint": self._delete,
            "ListEndpoints": self._list,
        }

    def enter_fleet(self, name: str, besides: Fleet | None = None) -> Fleet | None:
        """A fleet of the endpoint for one request, which has to `leave` it; None if there is none.

        Args:
            besides: A fleet that did not answer; during an update there may be another.
        """
        with self._lock:
            endpoint = self._endpoints.get(name.lower())
            fleet = None if endpoint is None else endpoint.choose_fleet(besides)
            if fleet is not None:
                fleet.enter()
            return fleet

    def close(self) -> None:
        """Ends all fleets."""
        with self._lock:
            endpoints = list(self._endpoints.values())
            self._endpoints.clear()
        for endpoint in endpoints:
            endpoint.deleted = True
            if endpoint.next_fleet is not None:
                endpoint.next_fleet.cancel()
            if endpoint.fleet is not None:
                endpoint.fleet.close()

    def _create(self, request: dict[str, Any]) -> dict[str, Any]:
        name = request["EndpointName"]
        arn = self._arn(name)
        with self._lock:
            if name.lower() in self._endpoints:
                raise already_exists("endpoint", arn)
            variants = self._configs.variants(request["EndpointConfigName"])
            plan = _plan(request.get("DeploymentConfig"), variants)
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
            self._begin(endpoint, request["EndpointConfigName"], variants, plan)
        return {"EndpointArn": arn}

    def _update(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            endpoint = self._find(request["EndpointName"])
            record = endpoint.record
            serving = endpoint.serving_fleet()
            # SageMaker reads the configuration that it leaves, too.
            self._configs.find(record["EndpointConfigName"])
            name = request["EndpointConfigName"]
            variants = self._configs.variants(name)
            if request.get("RetainAllVariantProperties"):
                variants = _retain(variants, serving.variants, request)
            deployment = request.get("DeploymentConfig")
            if request.get("RetainDeploymentConfig"):
                deployment = record["LastDeploymentConfig"]
            plan = _plan(deployment, variants)
            self._alarms(plan, variants).check_exist()
            record.update(
                EndpointStatus="Updating",
                LastDeploymentConfig=deployment,
                LastModifiedTime=now(),
                PendingDeploymentSummary={"EndpointConfigName": name, "StartTime": now()},
            )
            record.pop("FailureReason", None)
            self._begin(endpoint, name, variants, plan)
        return {"EndpointArn": record["EndpointArn"]}

    def _scale(self, request: dict[str, Any]) -> dict[str, Any]:
        """Weights take effect; instance counts are only reported, and may be retained."""
        with self._lock:
            endpoint = self._find(request["EndpointName"])
            fleet = endpoint.serving_fleet()
            wanted = {item["VariantName"]: item for item in request["DesiredWeightsAndCapacities"]}
            unknown = sorted(wanted.keys() - {variant.name for variant in fleet.variants})
            if unknown:
                raise invalid(f"The endpoint has no variant {', '.join(unknown)}.")
            fleet.variants = [
                variant.change(
                    weight=wanted.get(variant.name, {}).get("DesiredWeight"),
                    instances=wanted.get(variant.name, {}).get("DesiredInstanceCount"),
                )
                for variant in fleet.variants
            ]
            endpoint.record["LastModifiedTime"] = now()
        return {"EndpointArn": endpoint.record["EndpointArn"]}

    def _begin(
        self, endpoint: Endpoint, config: str, variants: list[Variant], plan: DeploymentPlan
    ) -> None:
        name = endpoint.record["EndpointName"].lower()
        folder = self._folder / name
        folder.mkdir(parents=True, exist_ok=True)
        fleet = Fleet(
            endpoint.record["EndpointName"],
            next(self._numbers),
            variants,
            folder,
            make_log_folder(self._log_folder / name, _KEPT_LOGS),
        )
        endpoint.next_fleet = fleet
        threading.Thread(
            target=self._deploy, args=(endpoint, config, fleet, plan), name="deploy", daemon=True
        ).start()

    def _deploy(self, endpoint: Endpoint, config: str, fleet: Fleet, plan: DeploymentPlan) -> None:
        name = endpoint.record["EndpointName"]
        try:
            alarms = self._alarms(plan, fleet.variants)
            if endpoint.fleet is not None:
                alarms.check_quiet()
            fleet.start(self._children, self._cache)
            if endpoint.fleet is not None:
                self._shift(endpoint, fleet, plan, alarms)
        except (FleetError, DeploymentError) as error:
            self._abandon(endpoint, fleet, str(error))
            return
        except Exception as error:
            if not endpoint.deleted:
                logger.exception("endpoint %s: deployment failed", name)
            self._abandon(endpoint, fleet, f"Request to service failed: {error}")
            return
        with self._lock:
            old, endpoint.fleet, endpoint.next_fleet = endpoint.fleet, fleet, None
            endpoint.share = 0.0
            if endpoint.deleted:
                old = fleet
            else:
                endpoint.record.update(
                    EndpointConfigName=config, EndpointStatus="InService", LastModifiedTime=now()
                )
                endpoint.record.pop("PendingDeploymentSummary", None)
                logger.info("endpoint %s is in service with %s", name, config)
        if old is not None:
            old.drain(_DRAIN_SECONDS)
            old.close()

    def _shift(
        self, endpoint: Endpoint, fleet: Fleet, plan: DeploymentPlan, alarms: Alarms
    ) -> None:
        """Moves the traffic step by step; raises if it has to move back."""
        for step in plan.steps:
            with self._lock:
                endpoint.share = step.share
            logger.info(
                "endpoint %s: %.0f%% of the traffic goes to the new fleet for at least %.0f s",
                endpoint.record["EndpointName"],
                100 * step.share,
                step.seconds,
            )
            end = time.monotonic() + step.seconds
            while (left := end - time.monotonic()) > 0:
                fleet.watch(min(left, _ALARM_INTERVAL))
                alarms.check_quiet()

    def _abandon(self, endpoint: Endpoint, fleet: Fleet, reason: str) -> None:
        record = endpoint.record
        with self._lock:
            if endpoint.share > 0:
                record["EndpointStatus"] = "RollingBack"
                endpoint.share = 0.0
            if not endpoint.deleted:
                logger.error("endpoint %s: %s", record["EndpointName"], reason)
        fleet.drain(_DRAIN_SECONDS)
        fleet.close()
        with self._lock:
            endpoint.next_fleet = None
            record["EndpointStatus"] = "InService" if endpoint.fleet else "Failed"
            record.update(FailureReason=reason[:1024], LastModifiedTime=now())
            record.pop("PendingDeploymentSummary", None)

    def _alarms(self, plan: DeploymentPlan, variants: Sequence[Variant]) -> Alarms:
        return Alarms(variants[0].role.client("cloudwatch"), plan.alarms)

    def _describe(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            return self._find(request["EndpointName"]).describe()

    def _delete(self, request: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            endpoint = self._find(request["EndpointName"])
            endpoint.check_settled()
            endpoint.deleted = True
            name = endpoint.record["EndpointName"].lower()
            del self._endpoints[name]
            fleet, endpoint.fleet = endpoint.fleet, None
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


def _plan(config: dict[str, Any] | None, variants: list[Variant]) -> DeploymentPlan:
    return DeploymentPlan.of(config, min(variant.instances for variant in variants))


def _retain(
    variants: list[Variant], serving: Sequence[Variant], request: dict[str, Any]
) -> list[Variant]:
    """The variants with the current weights and instance counts."""
    before = {variant.name: variant for variant in serving}
    excluded = {
        item["VariantPropertyType"] for item in request.get("ExcludeRetainedVariantProperties", [])
    }
    return [
        variant.retain(before[variant.name], excluded) if variant.name in before else variant
        for variant in variants
    ]
