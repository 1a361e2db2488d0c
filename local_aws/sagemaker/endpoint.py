"""One endpoint: its record, its fleets, and how requests are shared between them."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from local_aws.sagemaker.fleet import Fleet, Variant
from local_aws.sagemaker.resources import invalid, select_members

_IN_PROGRESS = {"Creating", "Updating", "RollingBack"}


@dataclass
class Endpoint:
    """An endpoint's record as the API describes it, and its fleets.

    Args:
        record: As DescribeEndpoint answers, without what the fleets know.
        fleet: Serves; None before the endpoint is in service.
        next_fleet: Started by an update.
        share: The part of the traffic that `next_fleet` gets.
    """

    record: dict[str, Any]
    fleet: Fleet | None = None
    next_fleet: Fleet | None = None
    share: float = 0.0
    deleted: bool = False

    def check_settled(self) -> None:
        """Raises ApiError while it is created or updated: it can neither change nor go then."""
        if self.record["EndpointStatus"] in _IN_PROGRESS:
            raise invalid(f'Cannot update in-progress endpoint "{self.record["EndpointArn"]}".')

    def serving_fleet(self) -> Fleet:
        """The serving fleet of an endpoint that can be changed now.

        Raises:
            ApiError: An update is running, or the endpoint was never in service.
        """
        self.check_settled()
        if self.fleet is None:
            arn, status = self.record["EndpointArn"], self.record["EndpointStatus"]
            raise invalid(f'Cannot update endpoint "{arn}" in status {status}.')
        return self.fleet

    def choose_fleet(self, besides: Fleet | None) -> Fleet | None:
        """A fleet by the shares of the traffic, but not `besides`."""
        fleets = [self.fleet]
        if self.next_fleet is not None and self.share > 0:
            fleets.append(self.next_fleet)
            if random.random() < self.share:  # noqa: S311  not a secret
                fleets.reverse()
        return next((fleet for fleet in fleets if fleet is not besides), None)

    def describe(self) -> dict[str, Any]:
        """The answer to DescribeEndpoint."""
        answer = select_members("DescribeEndpoint", self.record)
        if self.fleet is not None:
            answer["ProductionVariants"] = [
                _summary(variant, running=True) for variant in self.fleet.variants
            ]
        if self.next_fleet is not None and "PendingDeploymentSummary" in answer:
            answer["PendingDeploymentSummary"] = {
                **answer["PendingDeploymentSummary"],
                "ProductionVariants": [
                    _pending(variant, running=self.share > 0)
                    for variant in self.next_fleet.variants
                ],
            }
        return answer


def _summary(variant: Variant, *, running: bool) -> dict[str, Any]:
    return {
        "VariantName": variant.name,
        "DeployedImages": [{"SpecifiedImage": variant.container.get("Image", "")}],
        "CurrentWeight": variant.weight if running else 0.0,
        "DesiredWeight": variant.weight,
        "CurrentInstanceCount": variant.instances if running else 0,
        "DesiredInstanceCount": variant.instances,
    }


def _pending(variant: Variant, *, running: bool) -> dict[str, Any]:
    summary = {
        **_summary(variant, running=running),
        "VariantStatus": [{"Status": "Baking" if running else "Creating"}],
    }
    if "InstanceType" in variant.settings:
        summary["InstanceType"] = variant.settings["InstanceType"]
    return summary
