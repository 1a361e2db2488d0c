"""The baked artifact as a SageMaker Model."""

from __future__ import annotations

from aws_cdk import aws_iam as iam
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from stacks.model.bake import Bake
from stage.settings import Settings

# The server gives a worker one request at a time. Several share one process that holds the model
# and encodes together what arrives together.
# Forked from a process that has loaded, a worker has about 40 MB of its own.
CPU_WORKERS = {"SAGEMAKER_MODEL_SERVER_WORKERS": "8", "MMS_PRELOAD_MODEL": "true"}
# With a GPU the image's toolkit cannot load before the fork (it asks for the worker's GPU, and
# there is no worker yet), so each worker imports all that the toolkit does.
GPU_WORKERS = {"SAGEMAKER_MODEL_SERVER_WORKERS": "4"}


class ServingModel(Construct):
    """The artifact behind the image of one processor, CPU or GPU.

    It has no name of its own: every property is create-only, so each change replaces it, and a
    fixed name would clash with the one it replaces.

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
