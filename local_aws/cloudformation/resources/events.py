"""EventBridge: rules with their targets, and schedules. Nothing runs by the clock here."""

from __future__ import annotations

from local_aws.cloudformation.resources.base import (
    Properties,
    Provider,
    Request,
    Result,
    ignore_missing,
    shaped,
)


class Rule(Provider):
    """A rule of the default event bus."""

    def is_idle(self, properties: Properties) -> bool:
        return "ScheduleExpression" in properties

    def create(self, request: Request) -> Result:
        return self._put(request, request.properties.get("Name") or request.name())

    def update(self, request: Request) -> Result:
        kept = {target["Id"] for target in request.properties.get("Targets", [])}
        removed = [t["Id"] for t in request.old.get("Targets", []) if t["Id"] not in kept]
        if removed:
            request.client("events").remove_targets(Rule=request.physical_id, Ids=removed)
        return self._put(request, request.physical_id)

    def delete(self, request: Request) -> None:
        client, rule = request.client("events"), request.physical_id
        targets = [target["Id"] for target in request.properties.get("Targets", [])]
        if targets:
            ignore_missing(client.remove_targets, Rule=rule, Ids=targets)
        ignore_missing(client.delete_rule, Name=rule)

    def _put(self, request: Request, name: str) -> Result:
        client, properties = request.client("events"), request.properties
        made = client.put_rule(**{**shaped("events", "PutRule", properties), "Name": name})
        targets = properties.get("Targets", [])
        if targets:
            client.put_targets(**shaped("events", "PutTargets", {"Rule": name, "Targets": targets}))
        return Result(name, {"Arn": made["RuleArn"]})


class Schedule(Provider):
    """A schedule of EventBridge Scheduler's default group."""

    idle = True

    def create(self, request: Request) -> Result:
        name = request.properties.get("Name") or request.name()
        arguments = shaped("scheduler", "CreateSchedule", request.properties)
        made = request.client("scheduler").create_schedule(**{**arguments, "Name": name})
        return Result(name, {"Arn": made["ScheduleArn"]})

    def update(self, request: Request) -> None:
        arguments = shaped("scheduler", "UpdateSchedule", request.properties)
        name = request.physical_id
        request.client("scheduler").update_schedule(**{**arguments, "Name": name})

    def delete(self, request: Request) -> None:
        ignore_missing(request.client("scheduler").delete_schedule, Name=request.physical_id)
