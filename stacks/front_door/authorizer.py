"""Who may call the REST API, where a Lambda function says so."""

from __future__ import annotations

import json

import aws_cdk as cdk
from aws_cdk import aws_apigateway as apigateway
from constructs import Construct

from stacks.common.python_function import PythonFunction, packages_layer
from stage.settings import Settings
from stage.vendor import TOKEN_LAYER

# Callers wait for it. It takes milliseconds.
_KEY_TIMEOUT = cdk.Duration.seconds(5)
# It may have to fetch two documents, with three seconds each.
_TOKEN_TIMEOUT = cdk.Duration.seconds(10)
# Anything else is refused without asking the function.
_BEARER = r"^[Bb]earer +[-\w]+\.[-\w]+\.[-\w]+$"
# Results are not cached: a removed key ends at once.
_NO_CACHE = cdk.Duration.seconds(0)


def make_authorizer(scope: Construct, settings: Settings) -> apigateway.Authorizer | None:
    """The authorizer for `api.auth`; None where requests are signed."""
    match settings.api.auth:
        case "api_key":
            return _key_authorizer(scope)
        case "jwt":
            return _token_authorizer(scope, settings)
        case "iam":
            return None


def _key_authorizer(scope: Construct) -> apigateway.Authorizer:
    """Takes an API key from `x-api-key`, or as bearer token, and hands it on to the usage plan."""
    function = PythonFunction(
        scope,
        "KeyAuthorizer",
        handler="authorizer.api_key.handler",
        description="Hands a caller's API key on to the usage plan",
        timeout=_KEY_TIMEOUT,
    )
    authorizer = apigateway.RequestAuthorizer(
        function,
        "Authorizer",
        handler=function.publish(snap_start=False),  # it imports next to nothing
        # API Gateway refuses a request that lacks one of them, and the key is in either header.
        identity_sources=[],
        results_cache_ttl=_NO_CACHE,
    )
    resource = authorizer.node.default_child
    assert isinstance(resource, apigateway.CfnAuthorizer)
    resource.add_property_deletion_override("IdentitySource")  # the CDK writes an empty text
    return authorizer


def _token_authorizer(scope: Construct, settings: Settings) -> apigateway.Authorizer:
    """Checks the bearer tokens of any OpenID Connect issuer.

    API Gateway's own authorizer for Cognito would be a second path, with other rules for
    audiences, for one of the issuers.
    """
    jwt = settings.api.jwt
    assert jwt is not None  # the settings are checked
    description = "joserfc and cryptography, as locked in requirements/authorizer.txt"
    layer = packages_layer(scope, "TokenPackages", TOKEN_LAYER, description)
    function = PythonFunction(
        scope,
        "TokenAuthorizer",
        handler="authorizer.token.handler",
        description="Checks the callers' tokens",
        timeout=_TOKEN_TIMEOUT,
        memory_mb=512,  # also its share of a CPU, which decides how long a start takes
        layers=[layer],
        environment={
            "ISSUER": jwt.issuer,
            "AUDIENCES": json.dumps(jwt.audience),
            "SCOPES": json.dumps(jwt.scopes),
            "PASSED_SCOPES": json.dumps([*settings.batch.callers, *settings.batch.administrators]),
            **({"JWKS": jwt.jwks_json} if jwt.jwks else {}),
        },
    )
    return apigateway.TokenAuthorizer(
        function,
        "Authorizer",
        handler=function.publish(snap_start=settings.api.snap_start),
        validation_regex=_BEARER,
        results_cache_ttl=_NO_CACHE,
    )
