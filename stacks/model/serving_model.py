"""The baked artifact as a SageMaker Model."""

from __future__ import annotations

from aws_cdk import aws_iam as iam
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from stacks.model.bake import Bake
from stage.model_server import CPU_WORKERS, GPU_WORKERS
from stage.settings import Settings


class ServingModel(Construct):
    """The artifact and the image for one processor, CPU or GPU.

    CloudFormation names it: every property is create-only, so each change replaces it, and a fixed
    name would clash with the old one's.

    Attributes:
        name: known once it is deployed.
        bake_id: what it serves.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        bake: Bake,
        execution_role: iam.IRole,
        gpu: bool,
    ) -> None:
        super().__init__(scope, id_)
        self.resource = sagemaker.CfnModel(
            self,
            "Resource",
            execution_role_arn=execution_role.role_arn,
            enable_network_isolation=True,
            primary_container=sagemaker.CfnModel.ContainerDefinitionProperty(
                image=settings.lock.image_uri(settings.region, gpu=gpu),
                model_data_url=bake.model_data_url,
                environment={
                    # The container refuses an artifact of another bake.
                    "BAKE_ID": bake.bake_id,
                    "SAGEMAKER_PROGRAM": "inference.py",
                    "SAGEMAKER_CONTAINER_LOG_LEVEL": "20",
                    **(GPU_WORKERS if gpu else CPU_WORKERS),
                    "SAGEMAKER_MODEL_SERVER_TIMEOUT_SECONDS": "60",
                },
            ),
        )
        self.name = self.resource.attr_model_name
        self.bake_id = bake.bake_id
