"""Alarms and dashboards. Nothing measures here: an alarm has the state that SetAlarmState gives."""

from __future__ import annotations

from typing import ClassVar

from local_aws.cloudformation.resources.base import (
    Properties,
    Request,
    Result,
    ignore_missing,
    shaped,
    text,
)


class Alarm:
    """An alarm on a metric or an expression."""

    tags: ClassVar[str] = "list"

    def create(self, request: Request) -> Result:
        """Makes the alarm."""
        return self._put(request, request.properties.get("AlarmName") or request.name(255))

    def update(self, request: Request, physical_id: str, old: Properties) -> Result:
        """Puts it anew; it keeps its state."""
        del old
        return self._put(request, physical_id)

    def delete(self, request: Request, physical_id: str) -> None:
        """Removes the alarm."""
        ignore_missing(request.client("cloudwatch").delete_alarms, AlarmNames=[physical_id])

    def _put(self, request: Request, name: str) -> Result:
        arguments = shaped("cloudwatch", "PutMetricAlarm", request.properties)
        request.client("cloudwatch").put_metric_alarm(**{**arguments, "AlarmName": name})
        place = f"{request.region}:{request.context.account_id}"
        return Result(name, {"Arn": f"arn:aws:cloudwatch:{place}:alarm:{name}"})


class Dashboard:
    """A dashboard; its id is its name."""

    tags: ClassVar[str] = ""

    def create(self, request: Request) -> Result:
        """Makes the dashboard."""
        return self._put(request, request.properties.get("DashboardName") or request.name(255))

    def update(self, request: Request, physical_id: str, old: Properties) -> Result:
        """Puts it anew."""
        del old
        return self._put(request, physical_id)

    def delete(self, request: Request, physical_id: str) -> None:
        """Removes the dashboard."""
        ignore_missing(request.client("cloudwatch").delete_dashboards, DashboardNames=[physical_id])

    def _put(self, request: Request, name: str) -> Result:
        body = text(request.properties["DashboardBody"])
        request.client("cloudwatch").put_dashboard(DashboardName=name, DashboardBody=body)
        return Result(name)
