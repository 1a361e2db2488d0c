"""CloudWatch Logs: log groups."""

from __future__ import annotations

from local_aws.cloudformation.resources.base import (
    Properties,
    Provider,
    Request,
    Result,
    ignore_missing,
    tag_map,
)


class LogGroup(Provider):
    tags = "list"

    def create(self, request: Request) -> Result:
        properties = request.properties
        name = properties.get("LogGroupName") or request.name(512)
        arguments: Properties = {"logGroupName": name}
        if "KmsKeyId" in properties:
            arguments["kmsKeyId"] = properties["KmsKeyId"]
        if tag_map(properties):
            arguments["tags"] = tag_map(properties)
        request.client("logs").create_log_group(**arguments)
        self._set_retention(request, name)
        arn = f"arn:aws:logs:{request.region}:{request.context.account_id}:log-group:{name}:*"
        return Result(name, {"Arn": arn})

    def update(self, request: Request) -> None:
        client, name = request.client("logs"), request.physical_id
        if request.removed_tags():
            client.untag_log_group(logGroupName=name, tags=request.removed_tags())
        if tag_map(request.properties):
            client.tag_log_group(logGroupName=name, tags=tag_map(request.properties))
        self._set_retention(request, name)

    def delete(self, request: Request) -> None:
        ignore_missing(request.client("logs").delete_log_group, logGroupName=request.physical_id)

    def _set_retention(self, request: Request, name: str) -> None:
        client, days = request.client("logs"), request.properties.get("RetentionInDays")
        if days is None:
            client.delete_retention_policy(logGroupName=name)
        else:
            client.put_retention_policy(logGroupName=name, retentionInDays=int(days))
