"""The bake: the training job that encodes the corpus and packs the model artifact."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_assets as s3_assets
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from stacks.bundles import CONTAINER_PACKAGES, container_bundle, vendored_bundle
from stacks.instance_types import has_local_storage, is_gpu
from stacks.policies import wildcards
from stacks.python_function import PythonFunction
from stacks.retention import removal_policy
from stacks.settings import APP_NAME, Settings

_WORKFLOW = Path(__file__).parent / "bake_workflow.asl.json"


class Bake(Construct):
    """A custom resource whose physical id is the hash of everything that decides the artifact.

    CloudFormation has no resource type for training jobs and waits for an answer one hour at most.
    So a function starts a state machine, which runs the job to its end and has the function answer
    CloudFormation. A bake whose artifact is there already is not run again.

    Attributes:
        bake_id: 64 hex digits, known at synth.
        model_data_url: S3 URI of model.tar.gz, known once it is baked.
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
        self._artifacts = artifacts
        self._execution_role = execution_role
        self._key = key
        self._job_prefix = f"{APP_NAME}-{settings.stage}"
        # Named, for function and state machine call each other: the function's policy must name
        # the state machine without referring to it.
        self._state_machine_name = f"{self._job_prefix}-bake"

        training_job = self._training_job()
        function = self._function()
        state_machine = self._state_machine(function)
        self._answer_for_broken_executions(state_machine, function)
        resource = cdk.CustomResource(
            self,
            "Resource",
            resource_type="Custom::Bake",
            service_token=function.function.function_arn,
            service_timeout=cdk.Duration.hours(1),
            properties={
                "BakeId": self.bake_id,
                "ArtifactsBucket": artifacts.bucket_name,
                "StateMachineArn": state_machine.state_machine_arn,
                "TrainingJobPrefix": self._job_prefix,
                "TrainingJob": training_job,
                **self._pinned_corpus(function),
            },
        )
        # Permissions first: the function acts the moment the resource is created.
        resource.node.add_dependency(function.role, state_machine)
        self.model_data_url = resource.get_att_string("ModelDataUrl")

    def _training_job(self) -> dict[str, object]:
        """The CreateTrainingJob request, without the name, which the function chooses."""
        settings, stack = self._settings, cdk.Stack.of(self)
        model, hyper = settings.jumpstart_model, settings.model.hyperparameters
        image = settings.lock.image_uri(settings.region, gpu=is_gpu(settings.bake.instance_type))
        code, packages = container_bundle(), vendored_bundle(CONTAINER_PACKAGES)
        hyperparameters = {
            "model_id": model.id,
            "model_version": model.version,
            "dimension": str(model.dimension),
            "embed": settings.model.embed,
            "batch_size": str(hyper.batch_size),
            "max_seq_length": str(hyper.max_seq_length),
            "store_text": str(hyper.store_text).lower(),
            "corpus_sha256": settings.corpus_sha256,
        }
        if model.query_prefix:
            hyperparameters["query_prefix"] = model.query_prefix
        if model.passage_prefix:
            hyperparameters["passage_prefix"] = model.passage_prefix
        self.bake_id = _hash(
            {
                "hyperparameters": hyperparameters,
                "weights": model.weights_key,
                "image": image.rpartition("/")[2],  # the same image in every region
                "code": code.hash,
                "packages": packages.hash,
            }
        )
        code_asset = s3_assets.Asset(self, "Code", path=str(code.path), asset_hash=code.hash)
        packages_asset = s3_assets.Asset(
            self, "Packages", path=str(packages.path), asset_hash=packages.hash
        )
        weights_uri = f"s3://{settings.lock.weights_bucket(settings.region)}/{model.weights_key}"
        file_name = code_asset.s3_object_key.rpartition("/")[2]
        resources: dict[str, object] = {
            "InstanceCount": 1,
            "InstanceType": settings.bake.instance_type,
        }
        # Instance types with local storage take neither a volume size nor a key of ours: their
        # disks are encrypted by hardware. The others must have both named.
        if not has_local_storage(settings.bake.instance_type):
            resources["VolumeSizeInGB"] = settings.bake.volume_size_gb
            resources["VolumeKmsKeyId"] = self._key.key_arn
        return {
            "AlgorithmSpecification": {
                "TrainingImage": image,
                "TrainingInputMode": "File",
                "ContainerEntrypoint": ["python3", f"/opt/ml/input/data/code/{file_name}"],
            },
            "EnableNetworkIsolation": True,
            "Environment": {"PYTHONUNBUFFERED": "1"},
            "HyperParameters": {"bake_id": self.bake_id, **hyperparameters},
            "InputDataConfig": [
                _channel("code", code_asset.s3_object_url),
                _channel("vendor", packages_asset.s3_object_url),
                _channel("weights", weights_uri),
                _channel("corpus", self._corpus_uri()),
            ],
            "OutputDataConfig": {
                "S3OutputPath": f"s3://{self._artifacts.bucket_name}/bakes/{self.bake_id}/",
                "KmsKeyId": self._key.key_arn,
            },
            "ResourceConfig": resources,
            "RoleArn": self._execution_role.role_arn,
            "StoppingCondition": {"MaxRuntimeInSeconds": settings.bake.max_runtime_minutes * 60},
            # A state machine's job does not inherit the stack's tags.
            "Tags": [{"Key": k, "Value": v} for k, v in sorted(stack.tags.tag_values().items())],
        }

    def _corpus_uri(self) -> str:
        """Where the job reads the corpus: as published by the CDK, or as the function copies it."""
        if self._settings.corpus.path is None:
            return f"s3://{self._artifacts.bucket_name}/bakes/{self.bake_id}/corpus/"
        return s3_assets.Asset(
            self,
            "Corpus",
            path=str(self._settings.corpus.path),
            asset_hash=self._settings.corpus_sha256,
        ).s3_object_url

    def _pinned_corpus(self, function: PythonFunction) -> dict[str, object]:
        """The property that has the function copy one version of a corpus in S3."""
        source = self._settings.corpus
        if source.s3_uri is None:
            return {}
        bucket, _, object_key = source.s3_uri.removeprefix("s3://").partition("/")
        partition = cdk.Stack.of(self).partition
        function.allow(
            ["s3:GetObject", "s3:GetObjectVersion"],
            [f"arn:{partition}:s3:::{bucket}/{object_key}"],
        )
        pinned = {"Bucket": bucket, "Key": object_key, "VersionId": source.version_id}
        return {"PinnedCorpus": pinned}

    def _function(self) -> PythonFunction:
        stack = cdk.Stack.of(self)
        function = PythonFunction(
            self,
            "BakeResource",
            folder="bake_resource",
            description="Answers CloudFormation for the bake",
            timeout=cdk.Duration.minutes(10),  # it may copy a corpus
            memory_mb=512,  # reading SageMaker's service model takes seconds with less
            removal_policy=removal_policy(self._settings),
        )
        # The export that CDK would make of the reference, made here so that its name is known.
        artifacts_arn = cdk.Stack.of(self._artifacts).export_value(self._artifacts.bucket_arn)
        function.allow(
            ["states:StartExecution", "states:ListExecutions"], [self._states_arn("stateMachine")]
        )
        function.allow(
            ["states:DescribeExecution", "states:StopExecution"],
            wildcards(
                self,
                {
                    f"{self._states_arn('execution')}:*": "Executions are named by"
                    " CloudFormation's request ids."
                },
            ),
        )
        function.allow(
            ["sagemaker:DescribeTrainingJob", "sagemaker:StopTrainingJob"],
            self._training_jobs(),
        )
        function.allow(["cloudformation:DescribeStacks"], [stack.stack_id])
        function.allow(["s3:ListBucket"], [artifacts_arn])
        function.allow(
            ["s3:GetObject", "s3:PutObject"],
            wildcards(
                self,
                {f"{artifacts_arn}/bakes/*": "Bakes are named by their hashes."},
            ),
        )
        function.allow(["kms:Decrypt", "kms:GenerateDataKey"], [self._key.key_arn])
        return function

    def _state_machine(self, function: PythonFunction) -> sfn.StateMachine:
        stack = cdk.Stack.of(self)
        role = iam.Role(
            self,
            "StateMachineRole",
            assumed_by=iam.ServicePrincipal("states.amazonaws.com"),
            inline_policies={
                "Bake": iam.PolicyDocument(
                    statements=[
                        iam.PolicyStatement(
                            actions=[
                                "sagemaker:AddTags",
                                "sagemaker:CreateTrainingJob",
                                "sagemaker:DescribeTrainingJob",
                                "sagemaker:StopTrainingJob",
                            ],
                            resources=self._training_jobs(),
                        ),
                        iam.PolicyStatement(
                            actions=["iam:PassRole"],
                            resources=[self._execution_role.role_arn],
                            conditions={
                                "StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}
                            },
                        ),
                        iam.PolicyStatement(
                            actions=["lambda:InvokeFunction"],
                            resources=[function.function.function_arn],
                        ),
                    ]
                )
            },
        )
        wildcards(role, {"*": "Step Functions' log deliveries and X-Ray's traces have no ARN."})
        return sfn.StateMachine(
            self,
            "StateMachine",
            state_machine_name=self._state_machine_name,
            definition_body=sfn.DefinitionBody.from_string(
                _WORKFLOW.read_text(encoding="utf-8").replace("${Partition}", stack.partition)
            ),
            definition_substitutions={"BakeFunctionArn": function.function.function_arn},
            role=role,
            tracing_enabled=True,
            logs=sfn.LogOptions(
                destination=logs.LogGroup(
                    self,
                    "StateMachineLogs",
                    # Step Functions delivers to groups below this prefix without a resource
                    # policy of their own, of which an account may have only ten.
                    log_group_name=f"/aws/vendedlogs/states/{self._state_machine_name}",
                    retention=logs.RetentionDays.THREE_MONTHS,
                    # A kept group of this name would be in the way of the next deployment.
                    removal_policy=cdk.RemovalPolicy.DESTROY,
                ),
                level=sfn.LogLevel.ALL,
                # The input holds CloudFormation's pre-signed answer URL.
                include_execution_data=False,
            ),
        )

    def _answer_for_broken_executions(
        self, state_machine: sfn.StateMachine, function: PythonFunction
    ) -> None:
        """An execution that ends without an answer would leave CloudFormation waiting an hour."""
        events.Rule(
            self,
            "BrokenExecution",
            description="A bake's execution ended without answering CloudFormation",
            event_pattern=events.EventPattern(
                source=["aws.states"],
                detail_type=["Step Functions Execution Status Change"],
                detail={
                    "stateMachineArn": [state_machine.state_machine_arn],
                    "status": ["FAILED", "TIMED_OUT", "ABORTED"],
                },
            ),
            targets=[targets.LambdaFunction(function.function)],
        )

    def _states_arn(self, resource: str) -> str:
        return cdk.Stack.of(self).format_arn(
            service="states",
            resource=resource,
            resource_name=self._state_machine_name,
            arn_format=cdk.ArnFormat.COLON_RESOURCE_NAME,
        )

    def _training_jobs(self) -> list[str]:
        arn = cdk.Stack.of(self).format_arn(
            service="sagemaker", resource="training-job", resource_name=f"{self._job_prefix}-*"
        )
        return wildcards(self, {arn: "Jobs of this stage: prefix, hash and attempt."})


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


def _hash(parts: dict[str, object]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
