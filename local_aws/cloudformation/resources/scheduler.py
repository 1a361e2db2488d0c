"""AWS::Scheduler::Schedule: kept as it was asked for; its time never comes here."""

from __future__ import annotations

from typing import ClassVar

from local_aws.cloudformation.resources.base import (
    Idle,
    Properties,
    Request,
    Result,
    ignore_missing,
    shaped,
)


class Schedule(Idle):
    """A schedule of the default group."""

    tags: ClassVar[str] = ""

    def create(self, request: Request) -> Result:
        """Makes the schedule."""
        name = request.properties.get("Name") or request.name()
        arguments = shaped("scheduler", "CreateSchedule", request.properties)
        made = request.client("scheduler").create_schedule(**{**arguments, "Name": name})
        return Result(name, {"Arn": made["ScheduleArn"]})

    def update(self, request: Request, physical_id: str, old: Properties) -> Result:
        """Puts it anew."""
        del old
        arguments = shaped("scheduler", "UpdateSchedule", request.properties)
        made = request.client("scheduler").update_schedule(**{**arguments, "Name": physical_id})
        return Result(physical_id, {"Arn": made["ScheduleArn"]})

    def delete(self, request: Request, physical_id: str) -> None:
        """Removes the schedule."""
        ignore_missing(request.client("scheduler").delete_schedule, Name=physical_id)
