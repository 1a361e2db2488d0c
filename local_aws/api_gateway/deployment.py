"""A deployed API: the snapshot that CreateDeployment took, made ready for answering."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import unquote

from local_aws.api_gateway.errors import GatewayError


@dataclass(frozen=True)
class Route:
    """A method of a resource; the dictionaries are those of the control plane's API."""

    resource_id: str
    resource_path: str
    method: dict[str, Any]

    @property
    def integration(self) -> dict[str, Any]:
        """The method's integration; {} when it has none."""
        return self.method.get("methodIntegration") or {}


@dataclass
class _Node:
    fixed: dict[str, _Node] = field(default_factory=dict)
    variable: tuple[str, _Node] | None = None
    greedy: tuple[str, _Node] | None = None
    resource: dict[str, Any] | None = None


class Deployment:
    """An API as it was deployed; later edits of the API do not show.

    Args:
        snapshot: See `moto_adapter.DeployedStage`.
    """

    def __init__(self, snapshot: dict[str, Any]) -> None:
        self._snapshot = snapshot
        self._root = _Node()
        for resource in snapshot["resources"]:
            self._add(resource)

    @cached_property
    def binary_media_types(self) -> frozenset[str]:
        """Media types whose bodies are passed on as bytes."""
        # In a change operation AWS writes "/" as "~1".
        types = self._snapshot["binaryMediaTypes"]
        return frozenset(kind.replace("~1", "/").lower() for kind in types)

    @property
    def gateway_responses(self) -> dict[str, dict[str, Any]]:
        """Customised gateway responses by type."""
        responses: dict[str, dict[str, Any]] = self._snapshot["gatewayResponses"]
        return responses

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """The method that answers, and the path's parameters, percent-encoded as sent.

        Fixed segments win over `{name}`, which wins over `{name+}`.

        Raises:
            GatewayError: There is none. AWS says that the authentication token is missing.
        """
        # A final slash makes no difference: unverified for resources with children.
        segments = [segment for segment in path.strip("/").split("/") if segment]
        for resource, parameters in _matches(self._root, segments):
            methods = resource["methods"]
            found = methods.get(method) or methods.get("ANY")
            if found:
                return Route(resource["id"], resource["path"], found), parameters
        raise GatewayError("MISSING_AUTHENTICATION_TOKEN")

    def _add(self, resource: dict[str, Any]) -> None:
        node = self._root
        for part in resource["path"].strip("/").split("/"):
            if part.startswith("{"):
                name = part.strip("{}+")
                kind = "greedy" if part.endswith("+}") else "variable"
                known = getattr(node, kind) or (name, _Node())
                setattr(node, kind, known)
                node = known[1]
            elif part:
                node = node.fixed.setdefault(part, _Node())
        node.resource = resource


def _matches(node: _Node, segments: list[str]) -> list[tuple[dict[str, Any], dict[str, str]]]:
    if not segments:
        return [(node.resource, {})] if node.resource is not None else []
    first, *rest = segments
    found = []
    fixed = node.fixed.get(unquote(first))
    if fixed is not None:
        found += _matches(fixed, rest)
    if node.variable is not None:
        name, below = node.variable
        found += [(r, {name: first, **p}) for r, p in _matches(below, rest)]
    if node.greedy is not None and node.greedy[1].resource is not None:
        name, below = node.greedy
        found.append((below.resource or {}, {name: "/".join(segments)}))
    return found
