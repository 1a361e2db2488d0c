"""Request validators: required parameters, and bodies against models (JSON schema draft 4)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from jsonschema import Draft4Validator
from jsonschema.exceptions import ValidationError

from local_aws.api_gateway.deployment import Deployment, Route
from local_aws.api_gateway.errors import GatewayError
from local_aws.api_gateway.request import ApiRequest

_SEPARATOR = ", "


def validate(request: ApiRequest, deployment: Deployment, route: Route) -> None:
    """Checks what the method's validator asks for; parameters first (unverified).

    Raises:
        GatewayError: BAD_REQUEST_PARAMETERS, BAD_REQUEST_BODY or UNSUPPORTED_MEDIA_TYPE.
    """
    validator = deployment.validator(route)
    if validator.get("validateRequestParameters"):
        _check_parameters(request, route)
    if validator.get("validateRequestBody"):
        _check_body(request, deployment, route)
    integration = route.integration
    if integration.get("passthroughBehavior") == "NEVER":
        templates = {kind.lower() for kind in integration.get("requestTemplates") or {}}
        # For AWS_PROXY AWS may ignore the setting (unverified).
        if request.media_type not in templates:
            raise GatewayError("UNSUPPORTED_MEDIA_TYPE")


def _check_parameters(request: ApiRequest, route: Route) -> None:
    required = route.method.get("requestParameters") or {}
    missing = [name for name, is_required in required.items() if is_required]
    query = dict(request.query)
    headers = {name.lower(): value for name, value in request.headers.items()}
    given = {"querystring": query, "header": headers, "path": request.path_parameters}
    absent = []
    for name in missing:
        _, _, kind, key = name.split(".", 3)
        if not given[kind].get(key.lower() if kind == "header" else key):
            absent.append(key)
    if absent:
        message = f"Missing required request parameters: [{_SEPARATOR.join(absent)}]"
        raise GatewayError("BAD_REQUEST_PARAMETERS", message, validation=message)


def _check_body(request: ApiRequest, deployment: Deployment, route: Route) -> None:
    models = {
        kind.lower(): name for kind, name in (route.method.get("requestModels") or {}).items()
    }
    # As documented: a content type without a model is not validated, unless there is $default.
    name = models.get(request.media_type) or models.get("$default")
    if name is None or name not in deployment.models:
        return
    try:
        body = json.loads(request.body or b"null")
    except ValueError as error:
        raise GatewayError("BAD_REQUEST_BODY", validation=f"[{error}]") from error
    schema = Draft4Validator(deployment.models[name], registry=deployment.schema_registry)
    problems = [_sentence(error) for error in schema.iter_errors(body)]
    if problems:
        raise GatewayError("BAD_REQUEST_BODY", validation=f"[{_SEPARATOR.join(problems)}]")


def _quoted(values: object) -> str:
    return json.dumps(values, separators=(",", ":"), ensure_ascii=False)


def _kind(instance: object) -> str:
    if instance is None or isinstance(instance, bool):
        return "null" if instance is None else "boolean"
    names = {dict: "object", list: "array", str: "string", int: "integer"}
    return names.get(type(instance), "number")


def _type(limit: str | list[str], found: object, _: object) -> str:
    allowed = limit if isinstance(limit, list) else [limit]
    return (
        f"instance type ({_kind(found)}) does not match any allowed primitive type "
        f"(allowed: {_quoted(allowed)})"
    )


def _required(limit: list[str], found: dict[str, Any], _: object) -> str:
    absent = sorted(name for name in limit if name not in found)
    return f"object has missing required properties ({_quoted(absent)})"


def _additional(_: object, found: dict[str, Any], schema: dict[str, Any]) -> str:
    extra = sorted(name for name in found if name not in schema.get("properties", {}))
    return f"object instance has properties which are not allowed by the schema: {_quoted(extra)}"


# From the keyword's value, what was found and the schema around: AWS's wording of what is
# common (unverified). jsonschema words the rest.
_WORDING: dict[str, Callable[[Any, Any, Any], str]] = {
    "type": _type,
    "required": _required,
    "additionalProperties": _additional,
    "minLength": lambda limit, found, _: (
        f"string {_quoted(found)} is too short (length: {len(found)}, required minimum: {limit})"
    ),
    "maxLength": lambda limit, found, _: (
        f"string {_quoted(found)} is too long (length: {len(found)}, maximum allowed: {limit})"
    ),
    "minItems": lambda limit, found, _: (
        f"array is too short: must have at least {limit} elements but instance has {len(found)} "
        "elements"
    ),
    "maxItems": lambda limit, found, _: (
        f"array is too long: must have at most {limit} elements but instance has {len(found)} "
        "elements"
    ),
    "minimum": lambda limit, found, _: (
        f"numeric instance is lower than the required minimum (minimum: {limit}, found: {found})"
    ),
    "maximum": lambda limit, found, _: (
        f"numeric instance is greater than the required maximum (maximum: {limit}, found: {found})"
    ),
    "enum": lambda limit, found, _: (
        f"instance value ({_quoted(found)}) not found in enum (possible values: {_quoted(limit)})"
    ),
}


def _sentence(error: ValidationError) -> str:
    wording = _WORDING.get(str(error.validator))
    if wording is None:
        return str(error.message)
    return wording(error.validator_value, error.instance, error.schema)
