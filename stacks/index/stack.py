"""The Index stack: an index of S3 Vectors for corpora that no endpoint can hold."""

from __future__ import annotations

from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_s3_assets as s3_assets
from aws_cdk import aws_s3vectors as s3vectors
from aws_cdk import aws_stepfunctions as sfn

from contract.batch_objects import OUTPUT_PREFIX
from contract.index_objects import INDEXES_PREFIX
from contract.outputs import INDEX_WORKFLOW_ARN
from stacks.alarms.stage import index_alarms
from stacks.common.arns import (
    executions_arn,
    exported_bucket_arn,
    parameter_arn,
    published_assets_arn,
    s3_arn,
    state_machine_arn,
    vector_bucket_arn,
    vector_indexes_arn,
)
from stacks.common.policies import statement
from stacks.common.python_function import PythonFunction
from stacks.common.stage_stack import StageStack
from stacks.common.workflow import hand_broken_executions_to, workflow
from stacks.foundation.stack import FoundationStack
from stage.bake_inputs import index_request
from stage.corpus_file import canonical_corpus
from stage.settings import Settings

_DEFINITION = Path(__file__).parent / "workflow.asl.json"


class IndexStack(StageStack):
    """The vector bucket, what loads an index into it, and the request to load the settings' corpus.

    A deployment only starts the loading. `POST /search` asks the former index until the new one is
    complete, and an earlier one again as soon as it is deployed again.
    """

    def __init__(self, scope: cdk.App, *, settings: Settings, foundation: FoundationStack) -> None:
        super().__init__(
            scope,
            "Index",
            settings=settings,
            contents="the corpus in an index of S3 Vectors",
            foundation=foundation,
        )
        self._foundation = foundation
        self._artifacts_arn = exported_bucket_arn(foundation.storage.artifacts)
        self._batch_arn = exported_bucket_arn(foundation.storage.batch)
        self._names = settings.names
        bucket = s3vectors.CfnVectorBucket(
            self,
            "VectorBucket",
            vector_bucket_name=self._names.vector_bucket,
            encryption_configuration=s3vectors.CfnVectorBucket.EncryptionConfigurationProperty(
                sse_type="aws:kms", kms_key_arn=foundation.key.key_arn
            ),
        )
        bucket.apply_removal_policy(self.removal_policy)
        steps = self._steps()
        machine = self._state_machine(steps)
        # An execution that was stopped or timed out has kept no reason.
        hand_broken_executions_to(
            steps.function,
            self,
            machine,
            description="The loading of an index failed, timed out or was aborted",
        )
        index_alarms(self, settings=settings, state_machine=machine, topic=foundation.topic)
        self.add_output(INDEX_WORKFLOW_ARN, machine.state_machine_arn, "Loads indexes")
        function = self._resource_function()
        resource = cdk.CustomResource(
            self,
            "Index",
            resource_type="Custom::VectorIndex",
            service_token=function.function.function_arn,
            service_timeout=cdk.Duration.minutes(15),
            properties={
                "Index": self.to_json_string(self._request(steps)),
                "RemoveIndexes": self.removal_policy is cdk.RemovalPolicy.DESTROY,
            },
        )
        # Deletion goes against the dependencies: the indexes go first.
        resource.node.add_dependency(bucket, function.role, steps.role, machine)

    def _request(self, steps: PythonFunction) -> dict[str, object]:
        """The input of the state machine; see lambda/index/handler.py."""
        source = self.settings.corpus
        if source.s3_uri is not None:
            bucket, _, key = source.s3_uri.removeprefix("s3://").partition("/")
            steps.allow(["s3:GetObject", "s3:GetObjectVersion"], [s3_arn(self, source.s3_uri)])
            place = {
                "bucket": bucket,
                "key": key,
                "version_id": source.version_id,
                "file_name": key.rpartition("/")[2],
            }
        else:
            asset = s3_assets.Asset(
                self,
                "Corpus",
                path=str(canonical_corpus(self.settings)),
                asset_hash=self.settings.corpus_sha256,
            )
            folder = asset.s3_object_key.rpartition("/")[0]
            steps.allow(
                ["s3:GetObject"],
                {
                    f"{published_assets_arn(self)}/{folder}/*": "A corpus is published under its"
                    " hash; naming that would change this policy with every corpus."
                },
            )
            place = {
                "bucket": asset.s3_bucket_name,
                "key": asset.s3_object_key,
                "version_id": None,
                "file_name": "corpus.jsonl",
            }
        return {
            **index_request(self.settings),
            "corpus": {**place, "sha256": self.settings.corpus_sha256},
        }

    def _steps(self) -> PythonFunction:
        """Loads: it may add to indexes, and remove nothing."""
        names, storage = self._names, self._foundation.storage
        function = PythonFunction(
            self,
            "Steps",
            handler="index.handler.handler",
            description="Loads the corpus into an index of S3 Vectors",
            timeout=cdk.Duration.minutes(15),
            memory_mb=1769,  # a whole vCPU: it writes every number of every vector
            environment={
                "ARTIFACTS_BUCKET": storage.artifacts.bucket_name,
                "BATCH_BUCKET": storage.batch.bucket_name,
                "BATCH_STATE_MACHINE_ARN": state_machine_arn(self, names.batch_workflow),
                "VECTOR_BUCKET": names.vector_bucket,
                "INDEX_PARAMETER": names.index_parameter,
                "INSTANCE_COUNT": str(self.settings.batch.instance_count),
            },
        )
        allow = function.allow
        allow(
            [
                "s3vectors:CreateIndex",
                "s3vectors:GetIndex",
                "s3vectors:ListVectors",
                "s3vectors:PutVectors",
                "s3vectors:QueryVectors",
            ],
            {vector_indexes_arn(self, names.vector_bucket): "Indexes are named by their hashes."},
        )
        # Without ListBucket, S3 answers 403 for an object that does not exist.
        allow(["s3:ListBucket"], [self._artifacts_arn, self._batch_arn])
        kept = {f"{self._artifacts_arn}/{INDEXES_PREFIX}*": "Indexes are named by their hashes."}
        allow(["s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"], kept)
        allow(
            ["s3:GetObject"],
            {f"{self._batch_arn}/{OUTPUT_PREFIX}*": "Batches are named by their ids."},
        )
        allow(["kms:Decrypt", "kms:GenerateDataKey"], [self._foundation.key.key_arn])
        allow(["states:StartExecution"], [state_machine_arn(self, names.batch_workflow)])
        allow(
            ["states:DescribeExecution", "states:StopExecution"],
            {executions_arn(self, names.batch_workflow): "Executions are named by batches' ids."},
        )
        allow(
            ["states:DescribeExecution"],
            {executions_arn(self, names.index_workflow): "Executions are named by their indexes."},
        )
        allow(
            ["ssm:GetParameter", "ssm:PutParameter"], [parameter_arn(self, names.index_parameter)]
        )
        return function

    def _state_machine(self, steps: PythonFunction) -> sfn.StateMachine:
        return workflow(
            self,
            name=self._names.index_workflow,
            definition=_DEFINITION,
            role_id="Role",
            policy_name="Index",
            statements=[statement(self, ["lambda:InvokeFunction"], [steps.function.function_arn])],
            substitutions={"IndexStepsArn": steps.function.function_arn},
        )

    def _resource_function(self) -> PythonFunction:
        """Starts and stops the loading, and removes the indexes with the stack."""
        names = self._names
        function = PythonFunction(
            self,
            "Resource",
            handler="index.resource.handler",
            description="Starts the loading of an index of S3 Vectors",
            timeout=cdk.Duration.minutes(14),
            environment={
                "ARTIFACTS_BUCKET": self._foundation.storage.artifacts.bucket_name,
                "VECTOR_BUCKET": names.vector_bucket,
                "INDEX_PARAMETER": names.index_parameter,
                "STATE_MACHINE_ARN": state_machine_arn(self, names.index_workflow),
            },
        )
        allow = function.allow
        machine = state_machine_arn(self, names.index_workflow)
        allow(["states:StartExecution", "states:ListExecutions"], [machine])
        allow(
            ["states:StopExecution"],
            {executions_arn(self, names.index_workflow): "Executions are named by their indexes."},
        )
        allow(
            ["s3:GetObject", "s3:PutObject"],
            [f"{self._artifacts_arn}/{INDEXES_PREFIX}wanted.json"],
        )
        allow(["kms:Decrypt", "kms:GenerateDataKey"], [self._foundation.key.key_arn])
        allow(["cloudformation:DescribeStacks"], [self.stack_id])
        allow(["ssm:DeleteParameter"], [parameter_arn(self, names.index_parameter)])
        allow(["s3vectors:ListIndexes"], [vector_bucket_arn(self, names.vector_bucket)])
        allow(
            ["s3vectors:DeleteIndex"],
            {vector_indexes_arn(self, names.vector_bucket): "It removes every index."},
        )
        return function
