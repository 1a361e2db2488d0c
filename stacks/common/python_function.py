"""A Lambda function of this project."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from stacks.common.policies import acknowledge, statement, wildcards
from stacks.common.stage_stack import StageStack
from stage.bundles import function_bundle
from stage.vendor import LAYER, Vendored, vendored_bundle

RUNTIME = lambda_.Runtime.PYTHON_3_13


def packages_layer(
    scope: Construct, id_: str, packages: Vendored, description: str
) -> lambda_.LayerVersion:
    """A layer with locked packages, for functions with RUNTIME."""
    bundle = vendored_bundle(packages)
    return lambda_.LayerVersion(
        scope,
        id_,
        code=lambda_.Code.from_asset(str(bundle.path), asset_hash=bundle.hash),
        compatible_runtimes=[RUNTIME],
        compatible_architectures=[lambda_.Architecture.X86_64],
        description=description,
    )


class PythonFunction(Construct):
    """A function of `lambda/` with its own log group and role.

    Args:
        handler: dotted, such as `front_door.handler.handler`.
        timeout: of one invocation.
        memory_mb: also decides its share of a CPU; 1,769 MB is one vCPU.
        tracing: whether X-Ray samples its invocations.
        name: for those who watch it from another stack; by default CloudFormation names it.
        reserved_concurrency: how many concurrent invocations are reserved for it, and its limit.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        handler: str,
        description: str,
        timeout: cdk.Duration,
        memory_mb: int = 256,
        environment: Mapping[str, str] | None = None,
        layers: Sequence[lambda_.ILayerVersion] = (),
        tracing: bool = False,
        name: str | None = None,
        reserved_concurrency: int | None = None,
    ) -> None:
        super().__init__(scope, id_)
        log_group = StageStack.log_group(self, "Logs")
        # AWSLambdaBasicExecutionRole would let it write to every log group of the account.
        self.role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        log_group.grant_write(self.role)
        bundle = function_bundle(handler.rpartition(".")[0])
        self.function = lambda_.Function(
            self,
            "Function",
            function_name=name,
            runtime=RUNTIME,
            architecture=lambda_.Architecture.X86_64,
            handler=handler,
            code=lambda_.Code.from_asset(str(bundle.path), asset_hash=bundle.hash),
            layers=list(layers),
            description=description,
            timeout=timeout,
            memory_size=memory_mb,
            environment=dict(environment or {}),
            role=self.role,
            log_group=log_group,
            reserved_concurrent_executions=reserved_concurrency,
            # Nothing calls a version that has been replaced, and its snapshot would be paid for.
            current_version_options=lambda_.VersionOptions(
                removal_policy=cdk.RemovalPolicy.DESTROY
            ),
            tracing=lambda_.Tracing.ACTIVE if tracing else lambda_.Tracing.DISABLED,
        )
        if tracing:
            wildcards(self.role, {"*": "X-Ray's traces have no ARN."})
        network = StageStack.containing(self).network
        if network is not None:
            network.take_in(self.function, self.role)
        acknowledge(
            self.function,
            {
                "AwsSolutions-L1": f"The packages are locked and tested for {RUNTIME.name},"
                f" the platform of {LAYER.lock.name}."
            },
        )

    def publish(self, *, snap_start: bool) -> lambda_.Alias:
        """Publishes each change as a version; returns the alias that always means the latest.

        Callers keep the alias whatever changes, and the function's code and settings change for
        them at once.

        Args:
            snap_start: Whether versions start from a snapshot of the imported function.
        """
        if snap_start:
            resource = self.function.node.default_child
            assert isinstance(resource, lambda_.CfnFunction)
            # The construct's own argument warns that it needs what this method does.
            resource.snap_start = lambda_.CfnFunction.SnapStartProperty(
                apply_on="PublishedVersions"
            )
        return lambda_.Alias(self, "Live", alias_name="live", version=self.function.current_version)

    def allow(self, actions: Sequence[str], resources: Sequence[str] | Mapping[str, str]) -> None:
        """Adds a statement to the function's role; see `statement`."""
        self.role.add_to_policy(statement(self.role, actions, resources))
