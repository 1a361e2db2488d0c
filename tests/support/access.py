"""Roles for the tests of the local AWS, and requests signed by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials

from local_aws.context import Context
from local_aws.server import LocalAws

ACCOUNT = "123456789012"
EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}
# By name: the service that may assume the role. They may do everything.
ROLES = {
    "function": "lambda.amazonaws.com",
    "sagemaker": "sagemaker.amazonaws.com",
    "scheduler": "scheduler.amazonaws.com",
}


@contextmanager
def local_aws(folder: Path, **options: Any) -> Iterator[LocalAws]:
    """A local AWS with the roles of `ROLES`.

    moto's state is this process's, so it outlives the server.
    """
    with LocalAws(folder, **options) as aws:
        for name, service in ROLES.items():
            make_role(aws.context, name, {"Service": service})
        yield aws


def make_role(
    context: Context, name: str, *principals: Mapping[str, Any], statements: Any = EVERYTHING
) -> str:
    """The ARN of a role that these may assume, which is created or gets new policies."""
    iam = context.client("iam")
    trust = document(
        *(
            {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
            for principal in principals
        )
    )
    with suppress(iam.exceptions.EntityAlreadyExistsException):
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)
    iam.update_assume_role_policy(RoleName=name, PolicyDocument=trust)
    rows = statements if isinstance(statements, list) else [statements]
    iam.put_role_policy(RoleName=name, PolicyName="tests", PolicyDocument=document(*rows))
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


def document(*statements: Mapping[str, Any]) -> str:
    """A policy document."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def role_session(aws: LocalAws, *statements: Any, name: str = "") -> Any:
    """A maker of clients of a role with these permissions."""
    name = name or f"r-{uuid4().hex[:8]}"
    role = make_role(aws.context, name, {"AWS": ACCOUNT}, statements=list(statements))
    given = aws.context.client("sts").assume_role(RoleArn=role, RoleSessionName="me")["Credentials"]

    def client(service: str, **config: Any) -> Any:
        return boto3.client(
            service,
            endpoint_url=aws.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id=given["AccessKeyId"],
            aws_secret_access_key=given["SecretAccessKey"],
            aws_session_token=given["SessionToken"],
            config=Config(retries={"total_max_attempts": 1}, **config),
        )

    return client


def allow_invocations(context: Context, function: str, service: str) -> None:
    """Lets an AWS service invoke a function, by the function's own policy."""
    client = context.client("lambda")
    with suppress(client.exceptions.ResourceConflictException):
        client.add_permission(
            FunctionName=function,
            StatementId=service.partition(".")[0],
            Action="lambda:InvokeFunction",
            Principal=service,
        )


def sign(
    context: Context,
    service: str,
    method: str,
    path: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The headers of a request that the administrator has signed."""
    key = context.administrator
    request = AWSRequest(method, f"{context.endpoint_url}{path}", dict(headers or {}), body)
    kind = S3SigV4Auth if service == "s3" else SigV4Auth
    kind(Credentials(key.id, key.secret), service, context.region).add_auth(request)
    return dict(request.headers)
