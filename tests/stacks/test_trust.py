"""Which service may assume which role, and on whose behalf."""

from __future__ import annotations

from typing import Any

from contract.names import Names
from tests.support.synthesis import Templates, properties

ACCOUNT = {"Ref": "AWS::AccountId"}
# AWS documents of neither that it sends aws:SourceAccount or aws:SourceArn when it assumes a role,
# so a condition on them could make every deployment fail. A role is passed within its account only.
UNCONDITIONAL = {"apigateway.amazonaws.com", "lambda.amazonaws.com"}


def test_a_service_assumes_a_role_only_for_this_account_and_its_own_resources(
    everything: Templates,
) -> None:
    names = Names("dev")
    of_services: dict[str, set[str]] = {}
    for template in everything.values():
        for role in properties(template, "AWS::IAM::Role"):
            for statement in role["AssumeRolePolicyDocument"]["Statement"]:
                service = statement["Principal"].get("Service")
                if service is None:
                    continue
                sources = of_services.setdefault(service, set())
                if service in UNCONDITIONAL:
                    assert "Condition" not in statement
                    continue
                account = {"aws:SourceAccount": ACCOUNT}
                assert statement["Condition"]["StringEquals"] == account
                sources.add(_text(statement["Condition"]["ArnLike"]["aws:SourceArn"]))
    here = "us-east-1:<AWS::AccountId>"
    assert of_services == {
        "apigateway.amazonaws.com": set(),
        "lambda.amazonaws.com": set(),
        "sagemaker.amazonaws.com": {f"arn:aws:sagemaker:{here}:*"},
        "scheduler.amazonaws.com": {f"arn:aws:scheduler:{here}:schedule-group/default"},
        "states.amazonaws.com": {
            f"arn:aws:states:{here}:stateMachine:{name}"
            for name in (
                names.bake_workflow,
                names.batch_workflow,
                names.index_workflow,
                names.switch_workflow,
            )
        },
    }


def _text(arn: dict[str, Any]) -> str:
    """An ARN with its references in angle brackets."""
    parts = arn["Fn::Join"][1]
    return "".join(part if isinstance(part, str) else f"<{part['Ref']}>" for part in parts)
