"""IAM's SimulatePrincipalPolicy: what the policies of a role or a user would allow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from werkzeug.wrappers import Response

from local_aws import moto_adapter
from local_aws.iam.access import Access
from local_aws.iam.calls import Call
from local_aws.iam.conditions import NotEvaluatedError
from local_aws.iam.policies import Policy, Request, decide
from local_aws.service_errors import ApiError, error_response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_SUPPORTED = {"PolicySourceArn", "ActionNames", "ResourceArns", "ContextEntries", "MaxItems"}


def simulation(access: Access, call: Call) -> WSGIApplication:
    """Answers a call of SimulatePrincipalPolicy.

    Identity policies alone decide. What else a call can bring along is refused by name.
    """

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            answer = {"EvaluationResults": list(_results(access, call.parameters))}
        except (ApiError, NotEvaluatedError) as error:
            if isinstance(error, NotEvaluatedError):
                error = ApiError(f"The local AWS does not evaluate {error}", "InvalidInput")
            return error_response(environ, error)(environ, start_response)
        body = moto_adapter.render_query("iam", call.operation, {**answer, "IsTruncated": False})
        return Response(body, content_type="text/xml")(environ, start_response)

    return application


def _results(access: Access, asked: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    unsupported = sorted(asked.keys() - _SUPPORTED)
    if unsupported:
        raise NotEvaluatedError(f"{', '.join(unsupported)} in a simulation")
    principal, policies = access.policies_of_arn(asked["PolicySourceArn"])
    given = {
        entry["ContextKeyName"].lower(): list(map(str, entry["ContextKeyValues"]))
        for entry in asked.get("ContextEntries", [])
    }
    for action in asked["ActionNames"]:
        missing = sorted(_condition_keys(policies, action) - given.keys())
        keys = {**given, **{key: [] for key in missing}}
        for resource in asked.get("ResourceArns") or ["*"]:
            request = Request(principal, action, resource, principal.account, keys)
            decision = decide(request, identity=policies)
            denied = "explicitDeny" if decision.by else "implicitDeny"
            yield {
                "EvalActionName": action,
                "EvalResourceName": resource,
                "EvalDecision": "allowed" if decision.allowed else denied,
                "MatchedStatements": [],
                "MissingContextValues": missing,
            }


def _condition_keys(policies: Iterable[Policy], action: str) -> set[str]:
    return {
        key.lower()
        for policy in policies
        for statement in policy.statements
        if statement.covers_action(action)
        for block in (statement.body.get("Condition") or {}).values()
        for key in block
    }
