"""Who may call REST APIs, how often; and the account's own setting."""

from __future__ import annotations

from typing import ClassVar

from local_aws.cloudformation.resources.api_gateway import call, replace
from local_aws.cloudformation.resources.base import (
    Properties,
    Request,
    Result,
    ignore_missing,
    tag_map,
)


class ApiKey:
    """A key that callers send."""

    tags: ClassVar[str] = "list"

    def create(self, request: Request) -> Result:
        """Makes the key."""
        name = request.properties.get("Name") or request.name()
        made = call(
            request, "create_api_key", "CreateApiKey", name=name, tags=tag_map(request.properties)
        )
        return Result(made["id"], {"APIKeyId": made["id"]})

    def update(self, request: Request, physical_id: str, old: Properties) -> Result:
        """Changes name, description and whether it is accepted."""
        del old
        properties = request.properties
        patch = [replace("/enabled", properties.get("Enabled", False))]
        patch += [
            replace(f"/{key.lower()}", properties[key])
            for key in ("Name", "Description")
            if key in properties
        ]
        request.client("apigateway").update_api_key(apiKey=physical_id, patchOperations=patch)
        return Result(physical_id, {"APIKeyId": physical_id})

    def delete(self, request: Request, physical_id: str) -> None:
        """Removes the key."""
        ignore_missing(request.client("apigateway").delete_api_key, apiKey=physical_id)


class UsagePlan:
    """Which stages a key opens, and how often."""

    tags: ClassVar[str] = "list"

    def create(self, request: Request) -> Result:
        """Makes the plan."""
        name = request.properties.get("UsagePlanName") or request.name()
        made = call(
            request,
            "create_usage_plan",
            "CreateUsagePlan",
            name=name,
            tags=tag_map(request.properties),
        )
        return Result(made["id"], {"Id": made["id"]})

    def update(self, request: Request, physical_id: str, old: Properties) -> Result:
        """Changes name, stages and limits."""
        properties = request.properties
        patch = []
        if "UsagePlanName" in properties:
            patch.append(replace("/name", properties["UsagePlanName"]))
        if "Description" in properties:
            patch.append(replace("/description", properties["Description"]))
        for part in ("Throttle", "Quota"):
            for key, value in properties.get(part, {}).items():
                patch.append(replace(f"/{part.lower()}/{key[0].lower()}{key[1:]}", value))
        was, now = (
            {f"{stage['ApiId']}:{stage['Stage']}" for stage in found.get("ApiStages", [])}
            for found in (old, properties)
        )
        for op, stages in (("remove", was - now), ("add", now - was)):
            patch += [{"op": op, "path": "/apiStages", "value": stage} for stage in stages]
        if patch:
            request.client("apigateway").update_usage_plan(
                usagePlanId=physical_id, patchOperations=patch
            )
        return Result(physical_id, {"Id": physical_id})

    def delete(self, request: Request, physical_id: str) -> None:
        """Removes the plan."""
        ignore_missing(request.client("apigateway").delete_usage_plan, usagePlanId=physical_id)


class UsagePlanKey:
    """A key in a plan; every property is create-only."""

    tags: ClassVar[str] = ""

    def create(self, request: Request) -> Result:
        """Adds the key to the plan."""
        call(request, "create_usage_plan_key", "CreateUsagePlanKey")
        ids = request.properties["KeyId"], request.properties["UsagePlanId"]
        return Result(":".join(ids), {"Id": ":".join(ids)})

    def update(self, request: Request, physical_id: str, old: Properties) -> Result:
        """Changes nothing."""
        del request, old
        return Result(physical_id, {"Id": physical_id})

    def delete(self, request: Request, physical_id: str) -> None:
        """Takes the key out of the plan."""
        key, _, plan = physical_id.partition(":")
        ignore_missing(
            request.client("apigateway").delete_usage_plan_key, usagePlanId=plan, keyId=key
        )


class Account:
    """The account's role for API Gateway's logs; it outlives the resource, as on AWS."""

    tags: ClassVar[str] = ""

    def create(self, request: Request) -> Result:
        """Sets the role."""
        role = request.properties.get("CloudWatchRoleArn")
        if role:
            request.client("apigateway").update_account(
                patchOperations=[replace("/cloudwatchRoleArn", role)]
            )
        name = request.name()
        return Result(name, {"Id": name})

    def update(self, request: Request, physical_id: str, old: Properties) -> Result:
        """Sets another role."""
        del old
        self.create(request)
        return Result(physical_id, {"Id": physical_id})

    def delete(self, request: Request, physical_id: str) -> None:
        """Leaves the setting as it is."""
