"""AWS::Logs::LogGroup."""

from __future__ import annotations

from typing import ClassVar

from local_aws.cloudformation.resources.base import (
    Properties,
    Request,
    Result,
    ignore_missing,
    tag_map,
)


class LogGroup:
    """A log group and how long it keeps what it holds."""

    tags: ClassVar[str] = "list"

    def create(self, request: Request) -> Result:
        """Makes the group."""
        client, properties = request.client("logs"), request.properties
        name = properties.get("LogGroupName") or request.name(512)
        arguments: Properties = {"logGroupName": name}
        if "KmsKeyId" in properties:
            arguments["kmsKeyId"] = properties["KmsKeyId"]
        if tag_map(properties):
            arguments["tags"] = tag_map(properties)
        client.create_log_group(**arguments)
        return self._retain(request, name)

    def update(self, request: Request, physical_id: str, old: Properties) -> Result:
        """Changes the retention and the tags."""
        client = request.client("logs")
        gone = set(tag_map(old)) - set(tag_map(request.properties))
        if gone:
            client.untag_log_group(logGroupName=physical_id, tags=sorted(gone))
        if tag_map(request.properties):
            client.tag_log_group(logGroupName=physical_id, tags=tag_map(request.properties))
        return self._retain(request, physical_id)

    def delete(self, request: Request, physical_id: str) -> None:
        """Removes the group with its streams."""
        ignore_missing(request.client("logs").delete_log_group, logGroupName=physical_id)

    def _retain(self, request: Request, name: str) -> Result:
        client, days = request.client("logs"), request.properties.get("RetentionInDays")
        if days is None:
            client.delete_retention_policy(logGroupName=name)
        else:
            client.put_retention_policy(logGroupName=name, retentionInDays=int(days))
        arn = f"arn:aws:logs:{request.region}:{request.context.account_id}:log-group:{name}:*"
        return Result(name, {"Arn": arn})
