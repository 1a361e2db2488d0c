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

from stacks.common.policies import wildcards
from stacks.common.published_assets import published_assets_arn
from stacks.common.python_function import PythonFunction
from stacks.common.retention import removal_policy
from stacks.common.workflow import hand_broken_executions_to, workflow
from stage.bake_inputs import bake_inputs
from stage.instance_types import has_local_storage
from stage.settings import Settings

_WORKFLOW = Path(__file__).parent / "bake.asl.json"


class Bake(Construct):
    """A custom resource whose physical id is the hash of everything that decides the artifact.

    CloudFormation has no resource type for training jobs and waits for an answer one hour at most.
    So a function starts a state machine, which runs the job to its end and has the function answer
    CloudFormation. A bake whose artifact is there already is not run again. Where the settings
    name a bake to reuse, its id takes the hash's place, and nothing is ever run.

    Attributes:
        bake_id: 64 hex digits, known at synth.
        model_data_url: S3 URI of model.tar.gz, known once it is baked.
        state_machine: what sees a bake through.
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
        self._job_prefix = settings.names.prefix
        # Named, for function and state machine call each other: the function's policy must name
        # the state machine without referring to it.
        self._state_machine_name = f"{self._job_prefix}-bake"

        function = self._function()
        corpus = self._corpus(function)
        self.state_machine = self._state_machine(function)
        self._answer_for_broken_executions(function)
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
                "TrainingJobPrefix": self._job_prefix,
                "TrainingJob": self._training_job(corpus),
                "Corpus": corpus,
                **({"ReuseOnly": True} if settings.bake.reuse else {}),
            },
        )
        # Permissions first: the function acts the moment the resource is created.
        resource.node.add_dependency(function.role, self.state_machine)
        self.model_data_url = resource.get_att_string("ModelDataUrl")

    def _training_job(self, corpus: dict[str, object]) -> dict[str, object]:
        """The CreateTrainingJob request, without the name, which the function chooses."""
        settings, stack, inputs = self._settings, cdk.Stack.of(self), self._inputs
        code, packages = inputs.code, inputs.packages
        code_asset = s3_assets.Asset(self, "Code", path=str(code.path), asset_hash=code.hash)
        packages_asset = s3_assets.Asset(
            self, "Packages", path=str(packages.path), asset_hash=packages.hash
        )
        weights_uri = f"s3://{settings.lock.weights_bucket(settings.region)}/{inputs.weights_key}"
        bake_folder = f"s3://{self._artifacts.bucket_name}/bakes/{self.bake_id}/"
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
                _channel("corpus", f"{bake_folder}corpus/{corpus['FileName']}"),
            ],
            "OutputDataConfig": {
                "S3OutputPath": bake_folder,
                "KmsKeyId": self._key.key_arn,
            },
            "ResourceConfig": resources,
            "RoleArn": self._execution_role.role_arn,
            "StoppingCondition": {"MaxRuntimeInSeconds": settings.bake.max_runtime_minutes * 60},
            # A state machine's job does not inherit the stack's tags.
            "Tags": [{"Key": k, "Value": v} for k, v in sorted(stack.tags.tag_values().items())],
        }

    def _corpus(self, function: PythonFunction) -> dict[str, object]:
        """Where the function finds the corpus; it copies it into the bake's folder.

        There the job reads it, which cannot ask S3 for a version, and whoever wants to know later
        what was deployed finds it.
        """
        source, stack = self._settings.corpus, cdk.Stack.of(self)
        if source.s3_uri is not None:
            bucket, _, object_key = source.s3_uri.removeprefix("s3://").partition("/")
            function.allow(
                ["s3:GetObject", "s3:GetObjectVersion"],
                [f"arn:{stack.partition}:s3:::{bucket}/{object_key}"],
            )
            return {
                "Bucket": bucket,
                "Key": object_key,
                "VersionId": source.version_id,
                "FileName": object_key.rpartition("/")[2],
            }
        asset = s3_assets.Asset(
            self,
            "Corpus",
            path=str(source.path),
            asset_hash=self._settings.corpus_sha256,
        )
        folder = asset.s3_object_key.rpartition("/")[0]
        function.allow(["s3:ListBucket"], [published_assets_arn(self)])
        function.allow(
            ["s3:GetObject"],
            wildcards(
                self,
                {
                    f"{published_assets_arn(self)}/{folder}/*": "The CDK publishes a corpus under"
                    " its hash; naming that would change this policy with every corpus."
                },
            ),
        )
        return {
            "Bucket": asset.s3_bucket_name,
            "Key": asset.s3_object_key,
            # Not the file's own name: the same corpus under another one changes nothing.
            "FileName": f"corpus{Path(asset.s3_object_key).suffix}",
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
        return workflow(
            self,
            name=self._state_machine_name,
            definition=_WORKFLOW,
            role=role,
            substitutions={"BakeFunctionArn": function.function.function_arn},
            # Neither inputs nor outputs: they hold CloudFormation's pre-signed answer URL.
            include_execution_data=False,
            logs_id="StateMachineLogs",
        )

    def _answer_for_broken_executions(self, function: PythonFunction) -> None:
        """An execution that ends without an answer would leave CloudFormation waiting an hour."""
        hand_broken_executions_to(
            function.function,
            self,
            self.state_machine,
            description="A bake's execution ended without answering CloudFormation",
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
