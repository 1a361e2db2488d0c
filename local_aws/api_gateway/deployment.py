"""A deployed API: the snapshot that CreateDeployment took, prepared for routing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from local_aws.api_gateway.gateway_responses import GatewayError

# In the order in which they are preferred.
_KINDS = ("fixed", "variable", "greedy")


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
        authorizers: By id.
        api_key_source: "HEADER" or "AUTHORIZER".
    """

    def __init__(self, snapshot: dict[str, Any]) -> None:
        self.gateway_responses: dict[str, dict[str, Any]] = snapshot["gatewayResponses"]
        self.authorizers: dict[str, dict[str, Any]] = snapshot["authorizers"]
        self.api_key_source: str = snapshot["apiKeySource"]
        self._resources = [(_split(item["path"]), item) for item in snapshot["resources"]]

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """The method that answers, and the path's parameters, percent-encoded as sent.

        Fixed segments take precedence over `{name}`, and that over `{name+}`, which takes all the
        rest of a path.

        Raises:
            GatewayError: There is none. AWS then says that the authentication token is missing.
        """
        # A final slash makes no difference: unverified for resources with children.
        segments = _split(path)
        found = []
        for parts, resource in self._resources:
            kinds = [_kind(part) for part in parts]
            values = _values(segments, kinds)
            if len(parts) == len(values) and all(
                kind != "fixed" or part == unquote(value)
                for part, value, kind in zip(parts, values, kinds, strict=True)
            ):
                named = {
                    part.strip("{+}"): value
                    for part, value, kind in zip(parts, values, kinds, strict=True)
                    if kind != "fixed"
                }
                found.append(([_KINDS.index(kind) for kind in kinds], named, resource))
        for _, parameters, resource in sorted(found, key=lambda match: match[0]):
            known = resource["methods"].get(method) or resource["methods"].get("ANY")
            if known:
                return Route(resource["id"], resource["path"], known), parameters
        raise GatewayError("MISSING_AUTHENTICATION_TOKEN")


def _kind(part: str) -> str:
    if not part.startswith("{"):
        return "fixed"
    return "greedy" if part.endswith("+}") else "variable"


def _values(segments: list[str], kinds: list[str]) -> list[str]:
    """The segments, with those at the end as one where the last part takes them all."""
    last = len(kinds) - 1
    if kinds[-1:] == ["greedy"] and len(segments) > last:
        return [*segments[:last], "/".join(segments[last:])]
    return segments


def _split(path: str) -> list[str]:
    return [segment for segment in path.split("/") if segment]
