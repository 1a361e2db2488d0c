"""The bake: the training job that encodes the corpus and packs the model artifact."""

from __future__ import annotations

from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_assets as s3_assets
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from contract.bake_objects import BAKES_PREFIX, bake_prefix, corpus_prefix
from corpus.reader import file_sha256
from stacks.common.arns import (
    executions_arn,
    exported_bucket_arn,
    published_assets_arn,
    s3_arn,
    state_machine_arn,
    training_job_arn,
)
from stacks.common.policies import statement
from stacks.common.python_function import PythonFunction
from stacks.common.stage_stack import StageStack
from stacks.common.workflow import hand_broken_executions_to, workflow
from stage.bake_inputs import bake_inputs
from stage.corpus_file import canonical_corpus
from stage.instance_types import has_local_storage
from stage.settings import Settings

_WORKFLOW = Path(__file__).parent / "bake.asl.json"


class Bake(Construct):
    """A custom resource whose physical id is the hash of everything that decides the artifact.

    CloudFormation has no resource type for training jobs and waits at most one hour for an answer.
    So a function starts a state machine, which waits for the job and then has the function answer
    CloudFormation. A bake whose artifact exists is not run again. If the settings name a bake to
    reuse, its id replaces the hash and no job ever runs.

    Attributes:
        bake_id: 64 hex digits, known at synth.
        model_data_url: S3 URI of model.tar.gz, known once it is baked.
        state_machine: runs a bake from start to end.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        artifacts: s3.IBucket,
        execution_role: iam.IRole,
        key: kms.IKey,
    ) -> None:
        super().__init__(scope, id_)
        self._settings = settings
        self._inputs = bake_inputs(settings)
        self.bake_id = settings.bake.reuse or self._inputs.bake_id
        self._artifacts = artifacts
        self._execution_role = execution_role
        self._key = key
        # Function and state machine call each other, so the function's policy must name the state
        # machine without referring to it.
        self._workflow_name = settings.names.bake_workflow

        function = self._function()
        corpus = None if settings.search.has_vector_index else self._corpus(function)
        self.state_machine = self._state_machine(function)
        # Without an answer CloudFormation would wait for an hour.
        hand_broken_executions_to(
            function.function,
            self,
            self.state_machine,
            description="A bake's execution ended without answering CloudFormation",
        )
        resource = cdk.CustomResource(
            self,
            "Resource",
            resource_type="Custom::Bake",
            service_token=function.function.function_arn,
            service_timeout=cdk.Duration.hours(1),
            properties={
                "BakeId": self.bake_id,
                "ArtifactsBucket": artifacts.bucket_name,
                "StateMachineArn": self.state_machine.state_machine_arn,
                "TrainingJobPrefix": settings.names.prefix,
                "TrainingJob": self._training_job(corpus),
                **({"Corpus": corpus} if corpus else {}),
                **({"ReuseOnly": True} if settings.bake.reuse else {}),
            },
        )
        # Permissions first: the function runs as soon as the resource is created.
        resource.node.add_dependency(function.role, self.state_machine)
        self.model_data_url = resource.get_att_string("ModelDataUrl")

    def _training_job(self, corpus: dict[str, object] | None) -> dict[str, object]:
        """The CreateTrainingJob request without the name, which the function chooses."""
        settings, stack, inputs = self._settings, cdk.Stack.of(self), self._inputs
        code, packages = inputs.code, inputs.packages
        code_asset = s3_assets.Asset(self, "Code", path=str(code.path), asset_hash=code.hash)
        packages_asset = s3_assets.Asset(
            self, "Packages", path=str(packages.path), asset_hash=packages.hash
        )
        weights_uri = f"s3://{settings.lock.weights_bucket(settings.region)}/{inputs.weights_key}"
        bucket = f"s3://{self._artifacts.bucket_name}/"
        file_name = code_asset.s3_object_key.rpartition("/")[2]
        resources: dict[str, object] = {
            "InstanceCount": 1,
            "InstanceType": settings.bake.instance_type,
        }
        # Instance types with local storage accept neither a volume size nor our key: hardware
        # encrypts their disks. All others need both.
        if not has_local_storage(settings.bake.instance_type):
            resources["VolumeSizeInGB"] = settings.bake.volume_size_gb
            resources["VolumeKmsKeyId"] = self._key.key_arn
        network = StageStack.containing(self).network
        return {
            "AlgorithmSpecification": {
                "TrainingImage": inputs.image,
                "TrainingInputMode": "File",
                "ContainerEntrypoint": ["python3", f"/opt/ml/input/data/code/{file_name}"],
            },
            "EnableNetworkIsolation": True,
            "Environment": {"PYTHONUNBUFFERED": "1"},
            "HyperParameters": {"bake_id": self.bake_id, **inputs.hyperparameters},
            "InputDataConfig": [
                _channel("code", code_asset.s3_object_url),
                _channel("vendor", packages_asset.s3_object_url),
                _channel("weights", weights_uri),
                *(
                    [
                        _channel(
                            "corpus", f"{bucket}{corpus_prefix(self.bake_id)}{corpus['FileName']}"
                        )
                    ]
                    if corpus
                    else []
                ),
            ],
            "OutputDataConfig": {
                "S3OutputPath": f"{bucket}{bake_prefix(self.bake_id)}",
                "KmsKeyId": self._key.key_arn,
            },
            "ResourceConfig": resources,
            "RoleArn": self._execution_role.role_arn,
            "StoppingCondition": {"MaxRuntimeInSeconds": settings.bake.max_runtime_minutes * 60},
            # A job of a state machine does not inherit the stack's tags.
            "Tags": [{"Key": k, "Value": v} for k, v in sorted(stack.tags.tag_values().items())],
            **({"VpcConfig": network.of_training_job()} if network else {}),
        }

    def _corpus(self, function: PythonFunction) -> dict[str, object]:
        """Where the function finds the corpus, which it copies into the bake's folder.

        The job reads it there, since it cannot ask S3 for a version. The copy also records what
        was deployed.
        """
        source = self._settings.corpus
        if source.s3_uri is not None:
            bucket, _, object_key = source.s3_uri.removeprefix("s3://").partition("/")
            function.allow(
                ["s3:GetObject", "s3:GetObjectVersion"],
                [s3_arn(self, source.s3_uri)],
            )
            return {
                "Bucket": bucket,
                "Key": object_key,
                "VersionId": source.version_id,
                "FileName": object_key.rpartition("/")[2],
            }
        assert source.path is not None
        asset = s3_assets.Asset(
            self,
            "Corpus",
            path=str(canonical_corpus(self._settings)),
            asset_hash=self._settings.corpus_sha256,
        )
        folder = asset.s3_object_key.rpartition("/")[0]
        function.allow(
            ["s3:GetObject"],
            {
                f"{published_assets_arn(self)}/{folder}/*": "A corpus is published under its"
                " hash; naming that would change this policy with every corpus."
            },
        )
        return {
            "Bucket": asset.s3_bucket_name,
            "Key": asset.s3_object_key,
            "FileName": "corpus.jsonl",
            # Only then: saving the file anew must change nothing that is deployed.
            **({"FileSha256": file_sha256(source.path)} if self._settings.bake.reuse else {}),
            "Entries": self._settings.corpus_entries,
        }

    def _function(self) -> PythonFunction:
        stack = cdk.Stack.of(self)
        function = PythonFunction(
            self,
            "BakeResource",
            handler="bake.handler.handler",
            description="Answers CloudFormation for the bake",
            timeout=cdk.Duration.minutes(10),  # it may copy a corpus
            memory_mb=512,  # reading SageMaker's service model takes seconds with less
        )
        artifacts_arn = exported_bucket_arn(self._artifacts)
        function.allow(
            ["states:StartExecution", "states:ListExecutions"],
            [state_machine_arn(self, self._workflow_name)],
        )
        function.allow(
            ["states:DescribeExecution", "states:StopExecution"],
            {
                executions_arn(self, self._workflow_name): "Executions are named by"
                " CloudFormation's request ids."
            },
        )
        function.allow(
            ["sagemaker:DescribeTrainingJob", "sagemaker:StopTrainingJob"],
            self._training_jobs(),
        )
        function.allow(["cloudformation:DescribeStacks"], [stack.stack_id])
        function.allow(["s3:ListBucket"], [artifacts_arn])
        function.allow(
            ["s3:GetObject", "s3:PutObject"],
            {f"{artifacts_arn}/{BAKES_PREFIX}*": "Bakes are named by their hashes."},
        )
        function.allow(["kms:Decrypt", "kms:GenerateDataKey"], [self._key.key_arn])
        return function

    def _state_machine(self, function: PythonFunction) -> sfn.StateMachine:
        private = {"CreateTrainingJob": {"VpcConfig.$": "$.training_job.VpcConfig"}}
        return workflow(
            self,
            name=self._workflow_name,
            definition=_WORKFLOW,
            policy_name="Bake",
            statements=[
                statement(
                    self,
                    [
                        "sagemaker:AddTags",
                        "sagemaker:CreateTrainingJob",
                        "sagemaker:DescribeTrainingJob",
                        "sagemaker:StopTrainingJob",
                    ],
                    self._training_jobs(),
                ),
                statement(
                    self,
                    ["iam:PassRole"],
                    [self._execution_role.role_arn],
                    {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}},
                ),
                statement(self, ["lambda:InvokeFunction"], [function.function.function_arn]),
            ],
            substitutions={"BakeFunctionArn": function.function.function_arn},
            parameters=private if StageStack.containing(self).network else None,
            # Inputs and outputs hold CloudFormation's pre-signed answer URL.
            include_execution_data=False,
            logs_id="StateMachineLogs",
        )

    def _training_jobs(self) -> dict[str, str]:
        arn = training_job_arn(self, f"{self._settings.names.prefix}-*")
        return {arn: "This stage's jobs are named by prefix, hash and attempt."}


def _channel(name: str, uri: str) -> dict[str, object]:
    return {
        "ChannelName": name,
        "InputMode": "File",
        "DataSource": {
            "S3DataSource": {
                "S3DataType": "S3Prefix",
                "S3Uri": uri,
                "S3DataDistributionType": "FullyReplicated",
            }
        },
    }
