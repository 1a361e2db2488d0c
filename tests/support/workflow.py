"""What the tests of state machines share: machines, a function that records, jobs."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any
from uuid import uuid4

from local_aws.server import LocalAws
from tests.support.access import allow_invocations, make_role
from tests.support.sagemaker import BUCKET, IMAGE, ROLE, wait_until

RECORDER = """
import json, os, boto3

def handler(event, context):
    boto3.client("s3").put_object(
        Bucket="artifacts",
        Key=f"calls/{context.function_name}/{context.aws_request_id}",
        Body=json.dumps(event),
    )
    if event.get("explode"):
        raise RuntimeError("boom")
    return {"seen": event}
"""
PROGRAM = """
import os, pathlib, time
base = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"])
time.sleep(float(os.environ.get("SECONDS", "0")))
(base / "model/x").write_text("1")
"""


class Workflows:
    """State machines, a Lambda function that records its events, and jobs to run."""

    def __init__(self, aws: LocalAws) -> None:
        self.aws = aws
        self.states = aws.context.client("stepfunctions")
        self.s3 = aws.context.client("s3")
        self.s3.create_bucket(Bucket=BUCKET)
        self.s3.put_object(Bucket=BUCKET, Key="program/main.py", Body=PROGRAM)
        name = f"recorder-{uuid4().hex[:8]}"
        services = ("lambda.amazonaws.com", "states.amazonaws.com")
        role = make_role(aws.context, name, *({"Service": service} for service in services))
        code = io.BytesIO()
        with zipfile.ZipFile(code, "w") as archive:
            archive.writestr("handler.py", RECORDER)
        self.role = role
        self.function_name = name
        self.function = aws.context.client("lambda").create_function(
            FunctionName=name,
            Runtime="python3.13",
            Handler="handler.handler",
            Role=role,
            Timeout=30,
            Code={"ZipFile": code.getvalue()},
        )["FunctionArn"]
        allow_invocations(aws.context, name, "events.amazonaws.com")

    def create(self, start: str, **states: Any) -> str:
        definition = {"StartAt": start, "States": states}
        return str(
            self.states.create_state_machine(
                name=f"m-{uuid4().hex[:8]}", definition=json.dumps(definition), roleArn=self.role
            )["stateMachineArn"]
        )

    def start(self, machine: str, **state: Any) -> str:
        started = self.states.start_execution(
            stateMachineArn=machine, name=uuid4().hex, input=json.dumps(state)
        )
        return str(started["executionArn"])

    def wait(self, execution: str, timeout: float = 20) -> dict[str, Any]:
        def ended() -> dict[str, Any] | None:
            found = self.states.describe_execution(executionArn=execution)
            return None if found["status"] == "RUNNING" else found

        return wait_until(ended, timeout)

    def run(self, machine: str, **state: Any) -> dict[str, Any]:
        found = self.wait(self.start(machine, **state))
        return {**found, "output": json.loads(found.get("output", "null"))}

    def report_broken(self, machine: str) -> str:
        """A rule that tells the recorder of every end but a success; its name."""
        events = self.aws.context.client("events")
        name = f"rule-{uuid4().hex[:8]}"
        pattern = {
            "source": ["aws.states"],
            "detail-type": ["Step Functions Execution Status Change"],
            "detail": {
                "stateMachineArn": [machine],
                "status": ["FAILED", "TIMED_OUT", "ABORTED"],
            },
        }
        events.put_rule(Name=name, EventPattern=json.dumps(pattern))
        events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": self.function}])
        return name

    def calls(self) -> list[dict[str, Any]]:
        """Every event that the recorder got since it was last asked."""
        prefix = f"calls/{self.function_name}/"
        found = self.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
        events = []
        for item in sorted(found, key=lambda item: item["LastModified"]):
            body = self.s3.get_object(Bucket=BUCKET, Key=item["Key"])["Body"].read()
            events.append(json.loads(body))
            self.s3.delete_object(Bucket=BUCKET, Key=item["Key"])
        return events


def job(**members: Any) -> dict[str, Any]:
    return {
        "TrainingJobName": f"job-{uuid4().hex[:8]}",
        "AlgorithmSpecification": {
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["python3", "/opt/ml/input/data/code/main.py"],
        },
        "RoleArn": ROLE,
        "InputDataConfig": [
            {
                "ChannelName": "code",
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": f"s3://{BUCKET}/program/",
                    }
                },
            }
        ],
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/out"},
        "ResourceConfig": {
            "InstanceType": "ml.c6i.xlarge",
            "InstanceCount": 1,
            "VolumeSizeInGB": 5,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 100},
        "Environment": {},
        **members,
    }


CREATE = {
    "Type": "Task",
    "Resource": "arn:aws:states:::aws-sdk:sagemaker:createTrainingJob",
    # One field by its path: "RoleArn" is also a word of the states language.
    "Parameters": {
        "RoleArn.$": "$.job.RoleArn",
        **{f"{name}.$": f"$.job.{name}" for name in job() if name != "RoleArn"},
    },
    "ResultPath": None,
}
DESCRIBE = {
    "Type": "Task",
    "Resource": "arn:aws:states:::aws-sdk:sagemaker:describeTrainingJob",
    "Parameters": {"TrainingJobName.$": "$.job.TrainingJobName"},
    "ResultPath": "$.described",
}
STOP = {**DESCRIBE, "Resource": "arn:aws:states:::aws-sdk:sagemaker:stopTrainingJob"}
