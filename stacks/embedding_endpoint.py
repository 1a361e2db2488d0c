"""One endpoint of one instance type."""

from __future__ import annotations

from aws_cdk import aws_kms as kms
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from stacks.instance_types import has_local_storage, is_gpu
from stacks.serving_model import ServingModel
from stacks.setting_tables import EndpointSettings

# The image's CUDA 12.4 needs driver 550; the default host image may have an older one, and then
# the container does not start and leaves no log.
_GPU_HOST_IMAGE = "al2-ami-sagemaker-inference-gpu-3-1"
# From the start of the container to the first /ping: the model is read and compiled in between.
_STARTUP_SECONDS = 600


class EmbeddingEndpoint(Construct):
    """An endpoint with a fixed name over a configuration without one.

    A new model means a new configuration, to which SageMaker moves the endpoint blue/green.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        name: str,
        endpoint: EndpointSettings,
        model: ServingModel,
        key: kms.IKey,
    ) -> None:
        super().__init__(scope, id_)
        gpu = is_gpu(endpoint.instance_type)
        self.configuration = sagemaker.CfnEndpointConfig(
            self,
            "Configuration",
            production_variants=[
                sagemaker.CfnEndpointConfig.ProductionVariantProperty(
                    variant_name="primary",
                    model_name=model.name,
                    instance_type=endpoint.instance_type,
                    initial_instance_count=endpoint.instance_count,
                    initial_variant_weight=1,
                    container_startup_health_check_timeout_in_seconds=_STARTUP_SECONDS,
                    inference_ami_version=_GPU_HOST_IMAGE if gpu else None,
                )
            ],
            kms_key_id=None if has_local_storage(endpoint.instance_type) else key.key_arn,
        )
        self.resource = sagemaker.CfnEndpoint(
            self,
            "Resource",
            endpoint_name=name,
            endpoint_config_name=self.configuration.attr_endpoint_config_name,
        )
        self.name = name
