"""A stage in moto's AWS, with versions deployed and bakes in its bucket."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import boto3

from commands.deployed_stage import DeployedStage
from commands.target import Target
from stage.settings import Settings, load_settings

REGION = "us-east-1"
BUCKET = "artifacts"
ROLE = "arn:aws:iam::123456789012:role/r"


@cache
def _client(service: str) -> Any:
    """Made once, since that takes long; moto intercepts it wherever `mock_aws` is active."""
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return boto3.client(service, region_name=REGION, **keys)


class _Moto(Target):
    def client(self, service: str) -> Any:
        return _client(service)


def bake(digit: str) -> str:
    """A bake id."""
    return digit * 64


def stack_template(**outputs: str) -> str:
    values = {key: {"Value": value} for key, value in outputs.items()}
    topic = {"Topic": {"Type": "AWS::SNS::Topic"}}
    return json.dumps({"Resources": topic, **({"Outputs": values} if values else {})})


@dataclass
class AwsStage:
    """Stage dev in moto's AWS; the caller has begun `mock_aws`."""

    settings: Settings

    @classmethod
    def make(cls, corpus: Path | None = None, **bake_settings: Any) -> AwsStage:
        settings = load_settings("dev", str(corpus) if corpus else None)
        table = settings.bake.model_copy(update=bake_settings)
        made = cls(settings.model_copy(update={"bake": table}))
        made.client("s3").create_bucket(Bucket=BUCKET)
        made.client("s3").put_bucket_versioning(
            Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"}
        )
        made.add_stack("Foundation", ExportsOutputRefStorageArtifacts08431D1F=BUCKET)
        made.add_stack("Model")
        return made

    @property
    def stage(self) -> DeployedStage:
        return DeployedStage(self.settings, _Moto(REGION))

    def client(self, service: str) -> Any:
        return _client(service)

    def add_stack(self, part: str, **outputs: str) -> None:
        self.client("cloudformation").create_stack(
            StackName=self.settings.names.stack(part), TemplateBody=stack_template(**outputs)
        )

    def put(self, key: str, body: bytes) -> None:
        self.client("s3").put_object(Bucket=BUCKET, Key=key, Body=body)

    def add_bake(self, bake_id: str, corpus: bytes = b"Is it so?,It is.\n", **changes: Any) -> None:
        """Everything that a finished bake leaves. changes: of its marker; None leaves out."""
        model = self.settings.jumpstart_model
        key = f"bakes/{bake_id}/job-1/output/model.tar.gz"
        marker = {
            "bake_id": bake_id,
            "model_data_url": f"s3://{BUCKET}/{key}",
            "training_job_name": "job-1",
            "model_id": model.id,
            "model_version": model.version,
            "dimension": model.dimension,
            "ranking": "hybrid",
            "corpus_sha256": hashlib.sha256(corpus).hexdigest(),
            "corpus_file": "corpus.csv",
            "entries": 1,
            "baked_at": "2030-01-01T00:00:00+00:00",
        } | changes
        kept = {key: value for key, value in marker.items() if value is not None}
        self.put(f"bakes/{bake_id}/corpus/corpus.csv", corpus)
        self.put(key, b"artifact")
        self.put(f"bakes/{bake_id}/bake.json", json.dumps(kept).encode())

    def deploy(self, bake_id: str, corpus: bytes = b"Q?,A.\n", **changes: Any) -> None:
        """The deployment parameter, as CloudFormation writes it."""
        model = self.settings.jumpstart_model
        value = {
            "bake_id": bake_id,
            "model_id": model.id,
            "model_version": model.version,
            "dimension": model.dimension,
            "corpus_sha256": hashlib.sha256(corpus).hexdigest(),
        } | changes
        self.client("ssm").put_parameter(
            Name=self.settings.names.deployment_parameter,
            Value=json.dumps(value),
            Type="String",
            Overwrite=True,
        )

    def add_model(self, name: str, url: str, *, in_list: bool = False) -> None:
        """A SageMaker Model; in_list: as one of several containers."""
        container = {"Image": "image", "ModelDataUrl": url}
        self.client("sagemaker").create_model(
            ModelName=name,
            ExecutionRoleArn=ROLE,
            **({"Containers": [container]} if in_list else {"PrimaryContainer": container}),
        )

    def stored_keys(self) -> set[str]:
        """Every object version and delete marker there is."""
        answer = self.client("s3").list_object_versions(Bucket=BUCKET)
        found = [*answer.get("Versions", []), *answer.get("DeleteMarkers", [])]
        return {each["Key"] for each in found}
