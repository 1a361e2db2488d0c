"""The MOCK integration, as far as CORS preflight requests need it."""

from __future__ import annotations

import re
from typing import Any

from local_aws.api_gateway.deployment import Route
from local_aws.api_gateway.errors import GatewayError
from local_aws.api_gateway.request import ApiRequest

_STATUS = re.compile(r"""["']?statusCode["']?\s*:\s*["']?(\d{3})""")
_HEADER = "method.response.header."


def answer(request: ApiRequest, route: Route) -> tuple[int, list[tuple[str, str]], bytes]:
    """The integration response that the request template's `statusCode` selects.

    Templates are used as they are, without evaluating the mapping language, and headers have the
    literal values ('...') of the integration response.

    Raises:
        GatewayError: No integration response has that status.
    """
    templates: dict[str, str] = route.integration.get("requestTemplates") or {}
    match = _STATUS.search(templates.get(request.media_type, ""))
    status = match[1] if match else "200"
    responses: dict[str, Any] = route.integration.get("integrationResponses") or {}
    response = next(
        (
            r
            for r in responses.values()
            if r.get("selectionPattern") and re.fullmatch(r["selectionPattern"], status)
        ),
        None,
    ) or next((r for r in responses.values() if not r.get("selectionPattern")), None)
    if response is None:
        raise GatewayError("API_CONFIGURATION_ERROR")
    headers = [
        (target.removeprefix(_HEADER), value.strip("'"))
        for target, value in (response.get("responseParameters") or {}).items()
        if target.startswith(_HEADER)
    ]
    bodies: dict[str, str] = response.get("responseTemplates") or {}
    media_type, body = next(iter(bodies.items()), ("application/json", ""))
    headers.append(("Content-Type", media_type))
    return int(response["statusCode"]), headers, (body or "").encode()
