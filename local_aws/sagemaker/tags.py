"""Tags of SageMaker resources."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Action = Callable[[dict[str, Any]], dict[str, Any]]


class Tags:
    """Tags by ARN."""

    def __init__(self) -> None:
        self._tags: dict[str, dict[str, str]] = {}

    def actions(self) -> dict[str, Action]:
        """The API's actions by name."""
        return {"AddTags": self._add, "ListTags": self._list, "DeleteTags": self._delete}

    def put(self, arn: str, tags: list[dict[str, str]] | None) -> None:
        """Adds tags to a resource, replacing those of the same key."""
        if tags:
            self._tags.setdefault(arn, {}).update({tag["Key"]: tag["Value"] for tag in tags})

    def forget(self, arn: str) -> None:
        """Drops the tags of a resource that is gone."""
        self._tags.pop(arn, None)

    def _add(self, request: dict[str, Any]) -> dict[str, Any]:
        self.put(request["ResourceArn"], request["Tags"])
        return self._list(request)

    def _list(self, request: dict[str, Any]) -> dict[str, Any]:
        tags = self._tags.get(request["ResourceArn"], {})
        return {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}

    def _delete(self, request: dict[str, Any]) -> dict[str, Any]:
        for key in request["TagKeys"]:
            self._tags.get(request["ResourceArn"], {}).pop(key, None)
        return {}
