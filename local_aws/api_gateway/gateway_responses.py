"""Renders an error of the gateway as the API's owner defined it."""

from __future__ import annotations

import json
import re
from typing import Any

from local_aws.api_gateway.errors import GatewayError
from local_aws.api_gateway.request import ApiRequest

_VARIABLE = re.compile(r"\$context\.([A-Za-z0-9_.]*[A-Za-z0-9_])")
_HEADER = "gatewayresponse.header."
_DEFAULT_TEMPLATE = '{"message":$context.error.messageString}'


def render(
    error: GatewayError, request: ApiRequest, customised: dict[str, dict[str, Any]]
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body for an error.

    Templates are JSON, and headers have literal values ('...').

    Args:
        customised: The API's gateway responses by type; DEFAULT_4XX and DEFAULT_5XX are used for
            types that are not in it.
    """
    kind = error.response_type
    request.context |= {
        "error.message": error.message,
        "error.messageString": json.dumps(error.message),
        "error.responseType": kind.name,
    }
    fallback = "DEFAULT_4XX" if kind.status < 500 else "DEFAULT_5XX"
    chosen = customised.get(kind.name) or customised.get(fallback) or {}
    templates = chosen.get("responseTemplates") or {}
    template = templates.get("application/json", _DEFAULT_TEMPLATE)
    headers = {"Content-Type": "application/json", "x-amzn-ErrorType": error.error_type}
    for target, source in (chosen.get("responseParameters") or {}).items():
        if target.startswith(_HEADER) and source.startswith("'"):
            headers[target.removeprefix(_HEADER)] = source.strip("'")

    def value(match: re.Match[str]) -> str:
        # Nothing for a variable without a value (unverified).
        text = request.context.get(match[1], "")
        return text if match[1].endswith("String") else json.dumps(text)[1:-1]

    body = _VARIABLE.sub(value, template)
    return int(chosen.get("statusCode") or kind.status), headers, body.encode()
