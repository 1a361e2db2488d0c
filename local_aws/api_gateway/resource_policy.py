"""The resource policy of a REST API, as it was when the API was deployed.

https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-authorization-flow.html
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from local_aws.api_gateway.gateway_responses import GatewayError
from local_aws.api_gateway.request import ApiRequest, execute_api_arn
from local_aws.iam.access import Access
from local_aws.iam.policies import Decision, Policy, Request, decide
from local_aws.iam.principals import ANONYMOUS, Principal
from local_aws.moto_adapter import DeployedStage

INVOKE = "execute-api:Invoke"


@dataclass(frozen=True)
class Invocation:
    """A request to a method, as policies see it.

    Attributes:
        policy: Of the API; None if it has none.
        asked: What somebody without a signature asks for.
    """

    policy: Policy | None
    asked: Request

    @property
    def arn(self) -> str:
        """Of the method, with the path that was asked for."""
        return self.asked.resource

    def check_denials(self) -> None:
        """Refuses what the policy denies whoever asks.

        Raises:
            GatewayError: ACCESS_DENIED.
        """
        if self.policy and any(self.policy.applying(self.asked, deny=True)):
            raise _refused("with an explicit deny")

    def check_open(self) -> None:
        """Refuses a request to a method without authorization that the policy does not allow.

        Raises:
            GatewayError: ACCESS_DENIED.
        """
        self.check_denials()
        if self.policy and not any(self.policy.applying(self.asked, deny=False)):
            raise _refused("because no resource-based policy allows it")

    def decide(self, caller: Principal, identity: Policy) -> Decision:
        """What the policy and that of an authorizer decide together."""
        asked = replace(self.asked, principal=caller)
        return decide(asked, identity=[identity], resource=self.policy)


def invocation(access: Access, request: ApiRequest, stage: DeployedStage) -> Invocation:
    """A request to a deployed API."""
    document = stage.snapshot["policy"]
    policy = None
    if document:
        # The short form of the API's own methods.
        api = execute_api_arn(stage, "", "").rpartition(f"/{stage.name}/")[0]
        policy = Policy.parse("the API's", document.replace('"execute-api:/', f'"{api}/'))
    keys = {"aws:SourceIp": request.source_ip or "127.0.0.1", **endpoint_keys(request)}
    arn = execute_api_arn(stage, request.method, request.path)
    return Invocation(policy, access.request(ANONYMOUS, INVOKE, arn, keys))


def endpoint_keys(request: ApiRequest) -> dict[str, str]:
    """The condition keys of a request that came through a VPC endpoint."""
    return {"aws:SourceVpce": request.vpc_endpoint} if request.vpc_endpoint else {}


def _refused(why: str) -> GatewayError:
    return GatewayError("ACCESS_DENIED", f"User: anonymous is not authorized to invoke it, {why}")
