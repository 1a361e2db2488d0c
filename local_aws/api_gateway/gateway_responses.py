"""Turns an error of the gateway into the response the API's owner defined for it."""

from __future__ import annotations

import json
import re
from typing import Any

from local_aws.api_gateway.errors import GatewayError
from local_aws.api_gateway.request import ApiRequest

_VARIABLE = re.compile(r"\$(?:context|stageVariables)\.[A-Za-z0-9_.]*[A-Za-z0-9_]")
_DEFAULT_TEMPLATE = '{"message":$context.error.messageString}'


def render(
    error: GatewayError,
    request: ApiRequest,
    customised: dict[str, dict[str, Any]],
    stage_variables: dict[str, str],
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body for an error.

    Args:
        customised: The API's gateway responses by type; DEFAULT_4XX and DEFAULT_5XX stand in
            for what it does not name.
    """
    kind = error.response_type
    request.context |= {
        "error.message": error.message,
        "error.messageString": json.dumps(error.message),
        "error.responseType": kind.name,
    }
    fallback = "DEFAULT_4XX" if kind.status < 500 else "DEFAULT_5XX"
    chosen = customised.get(kind.name) or customised.get(fallback) or {}
    status = int(chosen.get("statusCode") or kind.status)
    media_type, template = _choose_template(chosen.get("responseTemplates") or {}, request)
    variables = {f"$context.{key}": value for key, value in request.context.items()}
    variables |= {f"$stageVariables.{key}": value for key, value in stage_variables.items()}
    headers = {"Content-Type": media_type, "x-amzn-ErrorType": error.error_type}
    for target, source in (chosen.get("responseParameters") or {}).items():
        value = _mapped(source, request, variables)
        if target.startswith("gatewayresponse.header.") and value is not None:
            headers[target.removeprefix("gatewayresponse.header.")] = value
    return status, headers, _fill(template, variables, is_json="json" in media_type).encode()


def _choose_template(templates: dict[str, str], request: ApiRequest) -> tuple[str, str]:
    accepted = [
        kind.partition(";")[0].strip() for kind in request.headers.get("Accept", "").split(",")
    ]
    for kind in (*accepted, "application/json", *templates):
        if kind in templates:
            return kind, templates[kind]
    return "application/json", _DEFAULT_TEMPLATE


def _fill(template: str, variables: dict[str, str], *, is_json: bool) -> str:
    """Replaces variables; gateway responses know no other element of mapping templates."""

    def value(match: re.Match[str]) -> str:
        name = match[0]
        # Without a value: nothing (unverified).
        text = variables.get(name, "")
        if is_json and not name.endswith("String"):
            return json.dumps(text)[1:-1]
        return text

    return _VARIABLE.sub(value, template)


def _mapped(source: str, request: ApiRequest, variables: dict[str, str]) -> str | None:
    if source.startswith("'"):
        return source.strip("'")
    if source.startswith("method.request.header."):
        wanted = source.removeprefix("method.request.header.").lower()
        return next((v for k, v in request.headers.items() if k.lower() == wanted), None)
    if source.startswith("method.request.querystring."):
        return dict(request.query).get(source.removeprefix("method.request.querystring."))
    if source.startswith("method.request.path."):
        return request.path_parameters.get(source.removeprefix("method.request.path."))
    return variables.get(f"${source}")
