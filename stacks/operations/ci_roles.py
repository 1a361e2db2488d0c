"""The roles that GitHub Actions assumes: one for reviews, one for deployments."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from contract.bake_objects import corpus_prefix, marker_key
from stacks.common.arns import bootstrap_role_arn, exported_bucket_arn, parameter_arn, stack_arn
from stacks.common.policies import statement
from stage.settings import Settings
from stage.tables import CiSettings

_GITHUB = "token.actions.githubusercontent.com"
# A deployment that bakes and watches takes hours. From this role the CDK's command line assumes
# its own roles, for an hour each time.
_DEPLOY_SESSION = cdk.Duration.hours(4)


class CiRoles(Construct):
    """Roles without keys: GitHub vouches for the repository and the branch.

    The account's identity provider for GitHub must exist already. An account has only one, which
    all stages and apps share, so no stack creates or deletes it.

    Attributes:
        diff: for workflow runs of pull requests. The code of a pull request runs with it, so it
            may read what a review shows and nothing else. It may not even assume the CDK's lookup
            role, which reads the whole account: `cdk diff --method=template` falls back to the
            role itself.
        deploy: for workflow runs of the deploy branch. May assume the CDK's own roles.
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
                        statement(
                            self,
                            ["sts:AssumeRole"],
                            [
                                bootstrap_role_arn(self, purpose)
                                for purpose in ("deploy", "file-publishing", "lookup")
                            ],
                        )
                    ]
                ),
                # A deployment shows the same as a review.
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
        """Templates, and the deployed corpora, to compare with the one in the review."""
        stack = cdk.Stack.of(self)
        stacks = stack_arn(self, settings.names.stack("*"))
        parameters = parameter_arn(self, f"{settings.names.parameter_prefix}/*")
        artifacts_arn = exported_bucket_arn(artifacts)
        bakes = [f"{artifacts_arn}/{key}" for key in (marker_key("*"), f"{corpus_prefix('*')}*")]
        return iam.PolicyDocument(
            statements=[
                statement(
                    self,
                    ["cloudformation:DescribeStacks", "cloudformation:GetTemplate"],
                    {stacks: "The stage's stacks; CloudFormation adds an id to each ARN."},
                ),
                statement(
                    self,
                    ["ssm:GetParameter", "ssm:GetParameterHistory"],
                    {parameters: "The parameters that say what is deployed."},
                ),
                statement(
                    self,
                    ["s3:GetObject"],
                    dict.fromkeys(bakes, "Bakes are named by their hashes."),
                ),
                # Without ListBucket, S3 answers 403 for an object that does not exist.
                statement(self, ["s3:ListBucket"], [artifacts_arn]),
                statement(
                    self,
                    ["kms:Decrypt"],
                    [key.key_arn],
                    {"StringEquals": {"kms:ViaService": f"s3.{stack.region}.{stack.url_suffix}"}},
                ),
            ]
        )
