"""The deployer: runs the commands against the local AWS as against AWS, with its own policy."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.end_to_end.local_app import ROOT, LocalApp

POLICY = ROOT / "docs/deployer-policy.json"
ROLE = "deployer"
STAGE = "dev"
_REFUSED = re.compile(r"not authorized to perform: \S+ on resource: \S+|.*AccessDenied.*")


# Granted to the deployer, too, but never reached by these runs.
UNTRIED = {
    "application-autoscaling:DescribeScalingActivities": "the endpoint does not scale",
    "ec2:DescribePrefixLists": "the stage is in no VPC",
    "ec2:DescribeSubnets": "the stage is in no VPC",
    "ec2:DescribeVpcAttribute": "the stage is in no VPC",
    "ec2:DescribeVpcEndpoints": "the stage is in no VPC",
    "lambda:GetAccountSettings": "no concurrency is reserved",
    "logs:GetLogEvents": "endpoints' logs are files here",
    "s3:DeleteObject": "every bake is younger than a day",
    "s3:DeleteObjectVersion": "every bake is younger than a day",
    "sagemaker:DeleteEndpoint": "CloudFormation leaves no endpoint",
    "s3vectors:DeleteIndex": "the corpus is in the artifact",
    "s3vectors:GetIndex": "the corpus is in the artifact",
    "s3vectors:ListVectorBuckets": "the corpus is in the artifact",
    "states:StartExecution": "no loading of an index failed",
    "servicequotas:ListServiceQuotas": "the local AWS has no quotas, and says so first",
}


class RefusedError(Exception):
    """A command failed, or said that it may not do something."""


class Deployer:
    """Runs the commands for a stage on AWS, which is the local one.

    Args:
        app: The local AWS.
        folder: For files.
        policy: What the deployer may do.
    """

    def __init__(self, app: LocalApp, folder: Path, policy: dict[str, Any]) -> None:
        self._app = app
        self._config = folder / "config"
        self._config.mkdir()
        text = (ROOT / f"config/{STAGE}.toml").read_text(encoding="utf-8")
        (self._config / f"{STAGE}.toml").write_text(f"{text}\n[updates]\nwatch_seconds = 2\n")
        self._corpus, self._other = folder / "faq.csv", folder / "other.csv"
        self._other.write_text("What is that?,It is another corpus.\n")
        self._environment = self._sign_in(policy)

    def parts(self) -> dict[str, Callable[[], None]]:
        """The commands by name."""
        return {
            "preflight": lambda: self._run("preflight"),
            "deploy": self.deploy,
            "diff": lambda: self._run("diff"),
            "corpus-diff": lambda: self._run("corpus-diff", "--corpus", str(self._other)),
            "status": lambda: self._run("status"),
            "off and on": self.switch,
            "versions": lambda: self._run("versions"),
            "rollback": self.roll_back,
            "prune": lambda: self._run("prune", "--keep", "1", "--yes"),
            "verify": lambda: self._run("verify", "--report", os.devnull, fails=True),
        }

    def deploy(self) -> None:
        """Deploys a new corpus, which has to be published."""
        self._corpus.write_text(f"What is this?,It is corpus {uuid4().hex}.\n")
        self._run("deploy", "--yes", "--corpus", str(self._corpus))

    def roll_back(self) -> None:
        """Goes back to the bake before the present one."""
        versions = json.loads(self._run("versions", "--json"))
        earlier = next(v for v in versions if v["bake_id"] != versions[0]["bake_id"])
        self._run("rollback", earlier["bake_id"][:12], "--yes")

    def switch(self) -> None:
        """Off and on."""
        try:
            self._run("off", "--yes")
        finally:
            self._run("on")

    def destroy(self) -> None:
        """Removes the stage."""
        self._run("destroy", "--yes")

    def _sign_in(self, policy: dict[str, Any]) -> dict[str, str]:
        context = self._app.context
        iam = context.client("iam")
        trust = {
            "Effect": "Allow",
            "Principal": {"AWS": context.account_id},
            "Action": "sts:AssumeRole",
        }
        role = iam.create_role(
            RoleName=ROLE, AssumeRolePolicyDocument=json.dumps({"Statement": [trust]})
        )["Role"]
        iam.put_role_policy(RoleName=ROLE, PolicyName="deployer", PolicyDocument=json.dumps(policy))
        given = context.client("sts").assume_role(RoleArn=role["Arn"], RoleSessionName="me")
        keys = given["Credentials"]
        ours = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        return {
            **ours,
            "AWS_ENDPOINT_URL": context.endpoint_url,
            "AWS_DEFAULT_REGION": context.region,
            "AWS_REGION": context.region,
            "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
            "AWS_SESSION_TOKEN": keys["SessionToken"],
            "AWS_EC2_METADATA_DISABLED": "true",
            "COLUMNS": "1000",  # so that no message is cut into lines
            # The templates are judged by AWS's rules elsewhere.
            "CDK_VALIDATION": "false",
            "LOCAL_STATE": str(self._app.state),
        }

    def _run(self, command: str, *options: str, fails: bool = False) -> str:
        """What a command printed.

        Args:
            fails: Whether it may fail for other reasons than a refusal.
        """
        done = subprocess.run(
            [
                *(sys.executable, "-m", "commands", command, *options),
                *("--stage", STAGE, "--config", str(self._config)),
            ],
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        refusals = _REFUSED.findall(done.stdout)
        if refusals or (done.returncode and not fails):
            raise RefusedError(f"{command}: {' '.join(refusals) or done.stdout[-1500:]}")
        return done.stdout
