"""CORS: web pages elsewhere that may ask the API, as the setting `api.cors_origins` names them.

API Gateway answers the preflights and its own refusals, the functions everything else.
"""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import aws_apigateway as apigateway

from stacks.common.policies import acknowledge

# What the three ways to authorise a request need, and JSON.
_HEADERS = (
    "Authorization",
    "Content-Type",
    "X-Amz-Content-Sha256",
    "X-Amz-Date",
    "X-Amz-Security-Token",
    "X-Api-Key",
)
_MAX_AGE_SECONDS = 7200  # the most that Chromium keeps an answer
_STATUS = "204"
_NAME = "Access-Control-Allow-Origin"


def add_preflight(
    resource: apigateway.IResource, verbs: Sequence[str], origins: Sequence[str]
) -> None:
    """Answers OPTIONS without a function; pages of other origins get no permission."""
    headers = {
        "Access-Control-Allow-Headers": ",".join(_HEADERS),
        "Access-Control-Allow-Methods": ",".join([*verbs, "OPTIONS"]),
        "Access-Control-Max-Age": str(_MAX_AGE_SECONDS),
        "Vary": "Origin",
    }
    parameters = {f"method.response.header.{name}": f"'{v}'" for name, v in headers.items()}
    method = resource.add_method(
        "OPTIONS",
        apigateway.MockIntegration(
            request_templates={"application/json": f'{{"statusCode": {_STATUS}}}'},
            integration_responses=[
                apigateway.IntegrationResponse(
                    status_code=_STATUS,
                    response_parameters=parameters,
                    response_templates={"application/json": _template(origins)},
                )
            ],
        ),
        method_responses=[
            apigateway.MethodResponse(
                status_code=_STATUS, response_parameters=dict.fromkeys(parameters, True)
            )
        ],
        # Browsers send neither key nor signature with a preflight.
        authorization_type=apigateway.AuthorizationType.NONE,
        api_key_required=False,
    )
    reason = "A preflight carries no credentials, and its answer no data."
    acknowledge(method, {"AwsSolutions-APIG4": reason, "AwsSolutions-COG4": reason})


def _template(origins: Sequence[str]) -> str:
    """The page's own origin as the answer's header, if it is among `origins`.

    Origins hold nothing that the Velocity language would read as its own.
    """
    condition = " || ".join(f'$origin == "{origin}"' for origin in origins)
    return (
        '#set($origin = $input.params("Origin"))\n'
        f"#if({condition})\n"
        f"#set($context.responseOverride.header.{_NAME} = $origin)\n"
        "#end\n"
    )


def refusal_headers(origins: Sequence[str]) -> dict[str, str]:
    """The headers that let pages read refusals that no function of ours makes.

    Their values are fixed. With several origins, any page may read what a refusal says: that a key
    is wrong, or that there were too many requests.
    """
    if not origins:
        return {}
    return {_NAME: origins[0] if len(origins) == 1 else "*"}
