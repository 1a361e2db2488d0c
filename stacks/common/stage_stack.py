"""What all stacks of a stage have in common."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct, IConstruct

from contract.names import APP_NAME, StackPart
from stacks.common.network import Network
from stage.settings import Settings

_REMOVAL = {
    "destroy": cdk.RemovalPolicy.DESTROY,
    "retain": cdk.RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE,
}


class StageStack(cdk.Stack):
    """A stack with the name, region, tags and protection of its stage.

    Attributes:
        settings: of the stage.
        removal_policy: what happens to data and logs when the stack is deleted. What a failed
            first deployment has created is deleted in any case, or it would bar the next one.
        network: where the stack's functions, models and jobs run; None in AWS's own networks.
        log_key: encrypts the stack's log groups; None where CloudWatch Logs uses its own.
        asset_prefix: of everything that the CDK publishes for the stage. Grants name the prefix,
            so that a new corpus changes no policy.

    Args:
        contents: what is in it, for its description.
        foundation: the stage's first stack, whose network and key the others use.
    """

    def __init__(
        self,
        scope: Construct,
        part: StackPart,
        *,
        settings: Settings,
        contents: str,
        foundation: StageStack | None = None,
    ) -> None:
        asset_prefix = f"{APP_NAME}/{settings.stage}/"
        super().__init__(
            scope,
            settings.names.stack(part),
            description=f"FAQ search: {contents}",
            env=cdk.Environment(region=settings.region),
            synthesizer=cdk.DefaultStackSynthesizer(bucket_prefix=asset_prefix),
            tags={"application": APP_NAME, "stage": settings.stage, **settings.tags},
            termination_protection=settings.removal_policy == "retain",
        )
        self.settings = settings
        self.asset_prefix = asset_prefix
        self.removal_policy = _REMOVAL[settings.removal_policy]
        self.network: Network | None = foundation.network if foundation else None
        self.log_key: kms.IKey | None = foundation.log_key if foundation else None

    @staticmethod
    def containing(scope: IConstruct) -> StageStack:
        """The stack that a construct is in."""
        stack = cdk.Stack.of(scope)
        assert isinstance(stack, StageStack)
        return stack

    @staticmethod
    def log_group(scope: Construct, id_: str, *, name: str | None = None) -> logs.LogGroup:
        """A log group that keeps three months, encrypted as the settings say.

        Args:
            name: by default CloudFormation names it. A group with a name goes with its stack even
                where data is retained: it would make the next deployment fail.
        """
        stack = StageStack.containing(scope)
        return logs.LogGroup(
            scope,
            id_,
            log_group_name=name,
            retention=logs.RetentionDays.THREE_MONTHS,
            removal_policy=cdk.RemovalPolicy.DESTROY if name else stack.removal_policy,
            encryption_key=stack.log_key,
        )

    def add_output(self, name: str, value: str, description: str) -> None:
        """Adds an output whose logical id is its name, so that commands and people find it."""
        output = cdk.CfnOutput(self, name, value=value, description=description)
        output.override_logical_id(name)
