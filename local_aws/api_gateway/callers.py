"""Callers of methods with IAM authorization: their signatures and permissions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from local_aws.api_gateway.gateway_responses import GatewayError
from local_aws.api_gateway.request import ApiRequest
from local_aws.api_gateway.resource_policy import INVOKE, Invocation, endpoint_keys
from local_aws.iam.access import Access, AccessDeniedError
from local_aws.iam.principals import AccessKey
from local_aws.iam.signature import (
    Fault,
    SignatureError,
    SignedRequest,
    read_claim,
    verify,
)
from local_aws.moto_adapter import DeployedStage

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_SERVICE = "execute-api"
# AWS's gateway responses for the two in the middle are unverified.
_ERRORS = {
    Fault.MISSING: ("MISSING_AUTHENTICATION_TOKEN", None),
    Fault.INCOMPLETE: ("INVALID_SIGNATURE", "IncompleteSignatureException"),
    Fault.UNKNOWN_KEY: ("INVALID_SIGNATURE", "UnrecognizedClientException"),
    Fault.EXPIRED_TOKEN: ("EXPIRED_TOKEN", None),
    Fault.INVALID: ("INVALID_SIGNATURE", None),
}


class Callers:
    """Lets those in who may call a method."""

    def __init__(self, access: Access) -> None:
        self._access = access

    def check(
        self,
        request: ApiRequest,
        stage: DeployedStage,
        invocation: Invocation,
        environ: WSGIEnvironment,
    ) -> None:
        """Checks signature and permission, and adds the caller to the request's context.

        Raises:
            GatewayError: The signature is not valid, or the caller has no permission.
        """
        try:
            key = self._verify(request, stage.region, environ)
        except SignatureError as error:
            name, error_type = _ERRORS[error.fault]
            raise GatewayError(name, error.message, error_type=error_type) from error
        principal = key.principal
        request.context |= {
            "identity.accessKey": key.id,
            "identity.accountId": principal.account,
            "identity.caller": principal.user_id,
            "identity.user": principal.user_id,
            "identity.userArn": principal.arn,
        }
        try:
            self._access.require(
                principal,
                INVOKE,
                invocation.arn,
                endpoint_keys(request),
                call="a deployed API",
                policy=invocation.policy,
            )
        except AccessDeniedError as error:
            # API Gateway shows the last digits of the account's number only.
            masked = f":********{stage.account_id[-4:]}:{stage.api_id}"
            message = str(error).replace(f":{stage.account_id}:{stage.api_id}", masked)
            raise GatewayError("ACCESS_DENIED", message) from error

    def _verify(self, request: ApiRequest, region: str, environ: WSGIEnvironment) -> AccessKey:
        signed = SignedRequest.of(environ, lambda: request.body)
        claim = read_claim(signed)
        if claim.region != region:
            message = f"Credential should be scoped to a valid region, not '{claim.region}'."
            raise SignatureError(Fault.INVALID, message)
        if claim.service != _SERVICE:
            message = f"Credential should be scoped to correct service: '{_SERVICE}'."
            raise SignatureError(Fault.INVALID, message)
        return verify(signed, claim, self._access.find_key)
