"""An event of API Gateway's proxy integration, as far as the functions behind it read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class ApiEvent:
    """One request.

    `resource` is the route that API Gateway found, such as `/batch/{batch_id}`, and `parameters`
    what stood in its braces. Names of `headers` are lower case. `body` is base64 where
    `is_base64_encoded`.
    """

    method: str
    resource: str
    parameters: Mapping[str, str]
    headers: Mapping[str, str]
    body: str
    is_base64_encoded: bool
    request_id: str

    @classmethod
    def read(cls, event: Mapping[str, Any]) -> Self:
        """From the event that Lambda hands over; what may be null there is empty here."""
        headers = event.get("headers") or {}
        return cls(
            method=event["httpMethod"],
            resource=event["resource"],
            parameters=event.get("pathParameters") or {},
            headers={name.lower(): value for name, value in headers.items()},
            body=event.get("body") or "",
            is_base64_encoded=bool(event.get("isBase64Encoded")),
            request_id=event["requestContext"]["requestId"],
        )
