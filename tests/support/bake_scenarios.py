"""Custom::Bake: requests as CloudFormation sends them, and finished bakes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bake.handler import BakeResource
from tests.support.cloudformation_answers import Answers
from tests.support.recorded_aws import ACCOUNT, REGION, RecordedAws

BUCKET = "artifacts-bucket"
OLD, NEW = "a" * 64, "b" * 64
STACK = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/FaqSearch-dev-Model/1"
CORPUS = b"A question?,An answer.\n"
ASSETS, ASSET = "assets", "faq-search/dev/0123.csv"
MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:Bake"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/Execution"


def output(bake_id: str, bucket: str = BUCKET) -> str:
    return f"s3://{bucket}/bakes/{bake_id}/"


def name(bake_id: str, attempt: int = 1) -> str:
    return f"faq-search-dev-{bake_id[:12]}-{attempt}"


def properties(bake_id: str, bucket: str = BUCKET, **others: Any) -> dict[str, Any]:
    """As CloudFormation passes them: every number and boolean is a string."""
    return {
        "ServiceToken": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:Bake",
        "ServiceTimeout": "3600",
        "BakeId": bake_id,
        "ArtifactsBucket": bucket,
        "StateMachineArn": MACHINE,
        "TrainingJobPrefix": "faq-search-dev",
        "TrainingJob": {
            "AlgorithmSpecification": {
                "TrainingImage": f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/image:tag",
                "TrainingInputMode": "File",
                "ContainerEntrypoint": ["python3", "/opt/ml/input/data/code/x.zip"],
            },
            "EnableNetworkIsolation": "true",
            "HyperParameters": {
                "bake_id": bake_id,
                "model_id": "a-model",
                "model_version": "1.2.3",
                "dimension": "384",
                "ranking": "hybrid",
                "batch_size": "64",
                "store_text": "true",
                "corpus_sha256": f"{bake_id[:4]}-corpus",
            },
            "InputDataConfig": [
                {
                    "ChannelName": "corpus",
                    "DataSource": {
                        "S3DataSource": {
                            "S3DataType": "S3Prefix",
                            "S3Uri": f"{output(bake_id, bucket)}corpus/corpus.csv",
                        }
                    },
                }
            ],
            "OutputDataConfig": {"S3OutputPath": output(bake_id, bucket)},
            "ResourceConfig": {
                "InstanceCount": "1",
                "InstanceType": "ml.c6i.xlarge",
                "VolumeSizeInGB": "30",
            },
            "RoleArn": ROLE,
            "StoppingCondition": {"MaxRuntimeInSeconds": "2700"},
        },
        "Corpus": {"Bucket": ASSETS, "Key": ASSET, "FileName": "corpus.csv", "Entries": "203"},
        **others,
    }


def facts(bake_id: str) -> dict[str, Any]:
    """What a marker says about the bake that `properties` describe, except when it was baked."""
    return {
        "model_id": "a-model",
        "model_version": "1.2.3",
        "dimension": 384,
        "ranking": "hybrid",
        "corpus_sha256": f"{bake_id[:4]}-corpus",
        "corpus_file": "corpus.csv",
        "entries": 203,
    }


def marked(
    aws: RecordedAws, bake_id: str, attempt: int = 1, bucket: str = BUCKET, **members: Any
) -> str:
    """Puts a finished bake into the bucket and returns its artifact's URL.

    members: of its marker, beyond the required ones; by default what `properties` say.
    """
    key = f"bakes/{bake_id}/{name(bake_id, attempt)}/output/model.tar.gz"
    url = f"s3://{bucket}/{key}"
    marker = {
        "bake_id": bake_id,
        "model_data_url": url,
        "training_job_name": name(bake_id, attempt),
        **(members or {**facts(bake_id), "baked_at": "2030-01-01T00:00:00+00:00"}),
    }
    aws.objects[BUCKET, f"bakes/{bake_id}/bake.json"] = json.dumps(marker).encode()
    aws.objects[bucket, key] = b"artifact"
    return url


class BakeFunction:
    """The function, and requests of CloudFormation for it."""

    def __init__(self, response_url: str) -> None:
        self._response_url = response_url
        self._resource = BakeResource()

    def __call__(self, kind: str, bake_id: str, old: str | None = None, **members: Any) -> None:
        self.handle(self.request(kind, bake_id, old, **members))

    def handle(self, event: dict[str, Any]) -> None:
        self._resource.handle(event)

    def request(
        self, kind: str, bake_id: str, old: str | None = None, **members: Any
    ) -> dict[str, Any]:
        event = {
            "RequestType": kind,
            "ResponseURL": self._response_url,
            "StackId": STACK,
            "RequestId": f"request-{kind}-{bake_id[:4]}",
            "ResourceType": "Custom::Bake",
            "LogicalResourceId": "Bake",
            "ResourceProperties": properties(bake_id),
        }
        if kind != "Create":
            event["PhysicalResourceId"] = old or bake_id
        if kind == "Update":
            event["OldResourceProperties"] = properties(old or bake_id)
        return {**event, **members}


@pytest.fixture
def bake(aws: RecordedAws, answers: Answers) -> BakeFunction:
    aws.objects[ASSETS, ASSET] = CORPUS
    return BakeFunction(answers.url)


def started(aws: RecordedAws) -> dict[str, Any]:
    [execution] = aws.executions.values()
    task: dict[str, Any] = json.loads(execution["input"])
    return task
