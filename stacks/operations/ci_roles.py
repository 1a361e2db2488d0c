"""The roles that GitHub Actions assumes: one that looks, one that deploys."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.common.arns import bootstrap_role_arn
from stacks.common.policies import wildcards
from stage.settings import Settings
from stage.tables import CiSettings

_GITHUB = "token.actions.githubusercontent.com"
# The CDK's command line assumes its own roles for an hour at a time, and anew from this one: a
# deployment that bakes and watches takes longer.
_DEPLOY_SESSION = cdk.Duration.hours(4)


class CiRoles(Construct):
    """Roles without keys: GitHub vouches for the repository, and for the branch.

    The identity provider is the account's, which can have one for GitHub, shared by every stage
    and every app: it must be there, and goes with none of them.

    Attributes:
        diff: for workflow runs of pull requests. What a pull request brings along runs with it,
            so it reads what a review shows and nothing else. Not even the CDK's lookup role is
            it given, which reads the whole account: `cdk diff --method=template` falls back to
            the role itself.
        deploy: for workflow runs of the deploy branch: the CDK's own roles, for the rest.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        ci: CiSettings,
        artifacts: s3.IBucket,
        key: kms.IKey,
    ) -> None:
        super().__init__(scope, id_)
        repository = f"repo:{ci.github_repository}"
        self.diff = iam.Role(
            self,
            "Diff",
            role_name=f"{settings.names.prefix}-diff",
            description=f"Reads what a pull request would change in {settings.stage}",
            assumed_by=self._workflow_runs(f"{repository}:pull_request"),
            inline_policies={"Read": self._reading(settings, artifacts, key)},
        )
        self.deploy = iam.Role(
            self,
            "Deploy",
            role_name=f"{settings.names.prefix}-deploy",
            description=f"Deploys {settings.stage}, through the CDK's roles",
            assumed_by=self._workflow_runs(f"{repository}:ref:refs/heads/{ci.deploy_branch}"),
            max_session_duration=_DEPLOY_SESSION,
            inline_policies={
                "AssumeCdkRoles": iam.PolicyDocument(
                    statements=[
                        iam.PolicyStatement(
                            actions=["sts:AssumeRole"],
                            resources=[
                                bootstrap_role_arn(self, purpose)
                                for purpose in ("deploy", "file-publishing", "lookup")
                            ],
                        )
                    ]
                ),
                # What is shown beside a deployment is what is shown in a review.
                "Read": self._reading(settings, artifacts, key),
            },
        )

    def _workflow_runs(self, subject: str) -> iam.IPrincipal:
        stack = cdk.Stack.of(self)
        return iam.WebIdentityPrincipal(
            f"arn:{stack.partition}:iam::{stack.account}:oidc-provider/{_GITHUB}",
            {"StringEquals": {f"{_GITHUB}:aud": "sts.amazonaws.com", f"{_GITHUB}:sub": subject}},
        )

    def _reading(
        self, settings: Settings, artifacts: s3.IBucket, key: kms.IKey
    ) -> iam.PolicyDocument:
        """Templates, and the corpora that were deployed, to compare with the one in the review."""
        stack = cdk.Stack.of(self)
        stacks = stack.format_arn(
            service="cloudformation",
            resource="stack",
            resource_name=f"{settings.names.stack('*')}/*",
        )
        parameters = stack.format_arn(
            service="ssm",
            resource="parameter",
            resource_name=f"{settings.names.parameter_prefix.removeprefix('/')}/*",
        )
        # The export that CDK would make of the reference, made here so that its name is known.
        artifacts_arn = cdk.Stack.of(artifacts).export_value(artifacts.bucket_arn)
        bakes = [f"{artifacts_arn}/bakes/*/{what}" for what in ("bake.json", "corpus/*")]
        return iam.PolicyDocument(
            statements=[
                iam.PolicyStatement(
                    actions=["cloudformation:DescribeStacks", "cloudformation:GetTemplate"],
                    resources=wildcards(
                        self,
                        {stacks: "The stage's stacks, and the id CloudFormation adds to each."},
                    ),
                ),
                iam.PolicyStatement(
                    actions=["ssm:GetParameter", "ssm:GetParameterHistory"],
                    resources=wildcards(
                        self, {parameters: "The parameters that say what is deployed."}
                    ),
                ),
                iam.PolicyStatement(
                    actions=["s3:GetObject"],
                    resources=wildcards(
                        self, dict.fromkeys(bakes, "Bakes are named by their hashes.")
                    ),
                ),
                # Without it an object that is not there looks like one that may not be read.
                iam.PolicyStatement(actions=["s3:ListBucket"], resources=[artifacts_arn]),
                iam.PolicyStatement(
                    actions=["kms:Decrypt"],
                    resources=[key.key_arn],
                    conditions={
                        "StringEquals": {"kms:ViaService": f"s3.{stack.region}.{stack.url_suffix}"}
                    },
                ),
            ]
        )
