"""AWS::Events::Rule."""

from __future__ import annotations

from typing import ClassVar

from botocore.exceptions import ClientError

from local_aws.cloudformation.resources.base import (
    Idle,
    Properties,
    Request,
    Result,
    missing,
    shaped,
)


class Rule(Idle):
    """A rule and its targets."""

    tags: ClassVar[str] = ""

    def is_idle(self, properties: Properties) -> bool:
        """A rule that goes by the clock is: its time never comes here."""
        return "ScheduleExpression" in properties

    def create(self, request: Request) -> Result:
        """Makes the rule."""
        return self._put(request, request.properties.get("Name") or request.name())

    def update(self, request: Request, physical_id: str, old: Properties) -> Result:
        """Puts rule and targets anew and removes targets that have left."""
        kept = {target["Id"] for target in request.properties.get("Targets", [])}
        gone = [t["Id"] for t in old.get("Targets", []) if t["Id"] not in kept]
        if gone:
            request.client("events").remove_targets(**self._address(request, physical_id), Ids=gone)
        return self._put(request, physical_id)

    def delete(self, request: Request, physical_id: str) -> None:
        """Removes targets and rule."""
        client = request.client("events")
        targets = [target["Id"] for target in request.properties.get("Targets", [])]
        address = self._address(request, physical_id)
        try:
            if targets:
                client.remove_targets(**address, Ids=targets)
            address["Name"] = address.pop("Rule")
            client.delete_rule(**address)
        except ClientError as error:
            if not missing(error):
                raise

    def _address(self, request: Request, name: str) -> Properties:
        bus = request.properties.get("EventBusName")
        return {"Rule": name} | ({"EventBusName": bus} if bus else {})

    def _put(self, request: Request, name: str) -> Result:
        client, properties = request.client("events"), request.properties
        made = client.put_rule(**{**shaped("events", "PutRule", properties), "Name": name})
        targets = properties.get("Targets", [])
        if targets:
            arguments = {**self._address(request, name), "Targets": targets}
            client.put_targets(**shaped("events", "PutTargets", arguments))
        return Result(name, {"Arn": made["RuleArn"]})
