"""A deployed API: the snapshot that CreateDeployment took, prepared for routing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from local_aws.api_gateway.gateway_responses import GatewayError


@dataclass(frozen=True)
class Route:
    """A method of a resource; the dictionaries are those of the control plane's API."""

    resource_id: str
    resource_path: str
    method: dict[str, Any]

    @property
    def integration(self) -> dict[str, Any]:
        """The method's integration; {} if it has none."""
        return self.method.get("methodIntegration") or {}


class Deployment:
    """An API as it was deployed; later edits of the API do not show.

    Args:
        snapshot: See `moto_adapter.DeployedStage`.

    Attributes:
        gateway_responses: The customised ones by type.
    """

    def __init__(self, snapshot: dict[str, Any]) -> None:
        self.gateway_responses: dict[str, dict[str, Any]] = snapshot["gatewayResponses"]
        self._resources = [(_split(item["path"]), item) for item in snapshot["resources"]]

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """The method that answers, and the path's parameters, percent-encoded as sent.

        Fixed segments take precedence over `{name}`.

        Raises:
            GatewayError: There is none. AWS then says that the authentication token is missing.
        """
        # A final slash makes no difference: unverified for resources with children.
        segments = _split(path)
        found = []
        for parts, resource in self._resources:
            variable = [part.startswith("{") for part in parts]
            if len(parts) == len(segments) and all(
                is_variable or part == unquote(segment)
                for part, segment, is_variable in zip(parts, segments, variable, strict=True)
            ):
                found.append((variable, parts, resource))
        for variable, parts, resource in sorted(found, key=lambda match: match[0]):
            known = resource["methods"].get(method) or resource["methods"].get("ANY")
            if known:
                named = zip(parts, segments, variable, strict=True)
                parameters = {part.strip("{}"): segment for part, segment, use in named if use}
                return Route(resource["id"], resource["path"], known), parameters
        raise GatewayError("MISSING_AUTHENTICATION_TOKEN")


def _split(path: str) -> list[str]:
    return [segment for segment in path.split("/") if segment]
