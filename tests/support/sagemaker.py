"""Tiny containers, and helpers, for the tests of the local SageMaker."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from botocore.client import BaseClient

from local_aws.sagemaker.instance import Instance
from local_aws.server import LocalAws

ROLE = "arn:aws:iam::123456789012:role/sagemaker"
IMAGE = "763104351884.dkr.ecr.us-east-1.amazonaws.com/huggingface-pytorch-inference:2.6.0"
BUCKET = "artifacts"
MakeInstance = Callable[..., Instance]

ECHO = """
import json, os, time

def model_fn(model_dir):
    return os.environ.get("GREETING", "hello")

def transform_fn(model, data, content_type, accept):
    request = json.loads(bytes(data) if not isinstance(data, str) else data)
    if "fail" in request:
        raise ValueError(request["fail"])
    if "exit" in request:
        os._exit(request["exit"])
    if "big" in request:
        return "x" * request["big"]
    time.sleep(request.get("sleep", 0))
    return json.dumps({"greeting": model, "type": type(data).__name__,
                       "content_type": content_type, "accept": accept})
"""


def pack(files: dict[str, str]) -> bytes:
    """A model.tar.gz."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()


def wait_until(check: Callable[[], Any], timeout: float = 60.0) -> Any:
    """Waits for a true result of `check` and returns it."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if answer := check():
            return answer
        time.sleep(0.02)
    raise AssertionError("it did not happen in time")


def put_model(
    s3: BaseClient,
    sagemaker: BaseClient,
    name: str,
    program: str = ECHO,
    site: str = "",
    **environment: str,
) -> None:
    """A Model whose artifact is one program, and what runs before the server is up (`site`)."""
    key = f"{name}/model.tar.gz"
    files = {"code/inference.py": program, "code/sitecustomize.py": site}
    s3.put_object(Bucket=BUCKET, Key=key, Body=pack(files))
    sagemaker.create_model(
        ModelName=name,
        ExecutionRoleArn=ROLE,
        PrimaryContainer={
            "Image": IMAGE,
            "ModelDataUrl": f"s3://{BUCKET}/{key}",
            "Environment": {"SAGEMAKER_PROGRAM": "inference.py", **environment},
        },
    )


def canary(percent: Any = 50, wait: Any = 1, termination: Any = 1, **more: Any) -> dict[str, Any]:
    """A DeploymentConfig that moves part of the traffic first."""
    return {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {
                "Type": "CANARY",
                "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": percent},
                "WaitIntervalInSeconds": wait,
            },
            "TerminationWaitInSeconds": termination,
        },
        **more,
    }


def guarded_by(*alarms: str) -> dict[str, Any]:
    """The part of a DeploymentConfig that names alarms."""
    return {"AutoRollbackConfiguration": {"Alarms": [{"AlarmName": alarm} for alarm in alarms]}}


def put_config(sagemaker: BaseClient, name: str, model: str, **members: Any) -> None:
    """An EndpointConfig with one variant."""
    sagemaker.create_endpoint_config(
        EndpointConfigName=name,
        ProductionVariants=[
            {
                "VariantName": "AllTraffic",
                "ModelName": model,
                "InstanceType": "ml.c6i.xlarge",
                "InitialInstanceCount": 1,
                **members,
            }
        ],
    )


def await_endpoint(sagemaker: BaseClient, name: str) -> dict[str, Any]:
    """Waits until the endpoint is neither creating nor updating; returns its description."""

    def settled() -> dict[str, Any] | None:
        found = sagemaker.describe_endpoint(EndpointName=name)
        return None if found["EndpointStatus"] in {"Creating", "Updating", "RollingBack"} else found

    return wait_until(settled)


def await_job(sagemaker: BaseClient, name: str, timeout: float = 10.0) -> dict[str, Any]:
    """Waits until the training job has ended; returns its description."""

    def ended() -> dict[str, Any] | None:
        found = sagemaker.describe_training_job(TrainingJobName=name)
        running = found["TrainingJobStatus"] in {"InProgress", "Stopping"}
        return None if running else found

    return wait_until(ended, timeout)


def is_alive(pid: int) -> bool:
    """Whether the process exists; zombies do not count."""
    status = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout.strip()
    return bool(status) and not status.startswith("Z")


class Workbench:
    """Creates endpoints of one program each, and deletes them at the end."""

    def __init__(self, aws: LocalAws) -> None:
        self.aws = aws
        self.sagemaker = aws.context.client("sagemaker")
        self.names: list[str] = []

    def __enter__(self) -> Workbench:
        return self

    def __exit__(self, *_: object) -> None:
        for name in self.names:
            # One that is still created or updated ends with its local AWS.
            with suppress(self.sagemaker.exceptions.ClientError):
                self.sagemaker.delete_endpoint(EndpointName=name)

    def configure(
        self, program: str = ECHO, settings: Any = None, site: str = "", **environment: str
    ) -> str:
        name = f"c-{uuid4().hex[:10]}"
        s3 = self.aws.context.client("s3")
        put_model(s3, self.sagemaker, name, program, site, **environment)
        put_config(self.sagemaker, name, name, **(settings or {}))
        return name

    def create(
        self, program: str = ECHO, settings: Any = None, site: str = "", **environment: str
    ) -> str:
        name = f"E-{uuid4().hex[:10]}"
        config = self.configure(program, settings, site, **environment)
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
        self.names.append(name)
        return name

    def folder(self, name: str) -> Path:
        return self.aws.context.state_dir / "sagemaker" / "endpoints" / name.lower()

    def pid(self, name: str) -> int:
        (path,) = self.folder(name).glob("*/pid")
        return int(path.read_text())


def invoke(aws: LocalAws, name: str, body: Any = None, **options: Any) -> Any:
    answer = aws.context.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=name,
        Body=json.dumps(body or {}),
        **{"ContentType": "application/json", **options},
    )
    return json.loads(answer["Body"].read())
