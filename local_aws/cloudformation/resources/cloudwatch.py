"""CloudWatch: nothing is measured here; SetAlarmState gives an alarm its state."""

from __future__ import annotations

from local_aws.cloudformation.resources.base import (
    Provider,
    Request,
    Result,
    ignore_missing,
    shaped,
    text,
)


class Alarm(Provider):
    tags = "list"

    def create(self, request: Request) -> Result:
        return self._put(request, request.properties.get("AlarmName") or request.name(255))

    def update(self, request: Request) -> Result:
        return self._put(request, request.physical_id)

    def delete(self, request: Request) -> None:
        client = request.client("cloudwatch")
        ignore_missing(client.delete_alarms, AlarmNames=[request.physical_id])

    def _put(self, request: Request, name: str) -> Result:
        arguments = shaped("cloudwatch", "PutMetricAlarm", request.properties)
        request.client("cloudwatch").put_metric_alarm(**{**arguments, "AlarmName": name})
        place = f"{request.region}:{request.context.account_id}"
        return Result(name, {"Arn": f"arn:aws:cloudwatch:{place}:alarm:{name}"})


class Dashboard(Provider):
    def create(self, request: Request) -> Result:
        return self._put(request, request.properties.get("DashboardName") or request.name(255))

    def update(self, request: Request) -> Result:
        return self._put(request, request.physical_id)

    def delete(self, request: Request) -> None:
        client = request.client("cloudwatch")
        ignore_missing(client.delete_dashboards, DashboardNames=[request.physical_id])

    def _put(self, request: Request, name: str) -> Result:
        body = text(request.properties["DashboardBody"])
        request.client("cloudwatch").put_dashboard(DashboardName=name, DashboardBody=body)
        return Result(name)
