"""One endpoint of one instance type."""

from __future__ import annotations

import hashlib
import json

from aws_cdk import aws_kms as kms
from aws_cdk import aws_sagemaker as sagemaker
from aws_cdk import aws_sns as sns
from constructs import Construct

from stacks.common.endpoint_metrics import VARIANT
from stacks.model.endpoint_alarms import UpdateAlarms, WatchingAlarms
from stacks.model.endpoint_scaling import EndpointScaling
from stacks.model.serving_model import ServingModel
from stacks.model.switch import ServingSwitch
from stage.instance_types import has_local_storage, is_gpu
from stage.settings import Settings
from stage.tables import EndpointSettings, UpdateSettings

# The image's CUDA 12.4 needs driver 550; the default host image may have an older one, and then
# the container does not start and leaves no log.
_GPU_HOST_IMAGE = "al2-ami-sagemaker-inference-gpu-3-1"
# From the start of the container to the first /ping: the model is read and compiled in between.
_STARTUP_SECONDS = 600
# What an update may take beside the watching: finding instances, starting them, loading the
# model. One that finds no instances ends then and is taken back; CloudFormation alone would wait
# for 16 hours.
_UPDATE_SECONDS = 3600


class EmbeddingEndpoint(Construct):
    """An endpoint with a fixed name over a configuration without one.

    A new model means a new configuration, to which SageMaker moves the endpoint blue/green, with
    alarms that take it back. The endpoint exists only while the switch is on; configuration and
    alarms stay.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        settings: Settings,
        endpoint: EndpointSettings,
        model: ServingModel,
        switch: ServingSwitch,
        key: kms.IKey,
        topic: sns.ITopic,
    ) -> None:
        super().__init__(scope, id_)
        self.name = settings.names.endpoint(endpoint.instance_type)
        instance_type, scaling = endpoint.instance_type, endpoint.scaling
        self.configuration = sagemaker.CfnEndpointConfig(
            self,
            # SageMaker moves an endpoint to another configuration only, never to the one it has.
            # So another way of updating is another configuration too, or changing that alone
            # would fail.
            f"Configuration-{_way_of_updating(endpoint, settings.updates)}",
            production_variants=[
                sagemaker.CfnEndpointConfig.ProductionVariantProperty(
                    variant_name=VARIANT,
                    model_name=model.name,
                    instance_type=instance_type,
                    initial_instance_count=endpoint.instance_count,
                    initial_variant_weight=1,
                    container_startup_health_check_timeout_in_seconds=_STARTUP_SECONDS,
                    inference_ami_version=_GPU_HOST_IMAGE if is_gpu(instance_type) else None,
                )
            ],
            kms_key_id=None if has_local_storage(instance_type) else key.key_arn,
        )
        alarms = UpdateAlarms(
            self,
            "UpdateAlarms",
            settings=settings,
            endpoint_name=self.name,
            configuration_name=self.configuration.attr_endpoint_config_name,
            bake_id=model.bake_id,
            topic=topic,
        )
        WatchingAlarms(
            self,
            "Alarms",
            settings=settings,
            endpoint_name=self.name,
            instance_type=instance_type,
            topic=topic,
        )
        self.resource = sagemaker.CfnEndpoint(
            self,
            "Resource",
            endpoint_name=self.name,
            endpoint_config_name=self.configuration.attr_endpoint_config_name,
            deployment_config=_deployment_config(endpoint, settings.updates, alarms.names),
        )
        switch.only_while_on(self.resource)
        if scaling is not None:
            # An update would begin again with the configuration's count, however many instances
            # the load has brought about. Only here: elsewhere it would swallow a changed count.
            self.resource.retain_all_variant_properties = True
            self.resource.exclude_retained_variant_properties = [
                sagemaker.CfnEndpoint.VariantPropertyProperty(
                    variant_property_type="DataCaptureConfig"
                )
            ]
            EndpointScaling(
                self,
                "Scaling",
                endpoint=self.resource,
                endpoint_name=self.name,
                scaling=scaling,
            )


def _way_of_updating(endpoint: EndpointSettings, updates: UpdateSettings) -> str:
    """Eight characters that change with what an update of this endpoint goes by."""
    by = [_canary_percent(endpoint, updates), updates.watch_seconds, endpoint.scaling is not None]
    return hashlib.sha256(json.dumps(by).encode()).hexdigest()[:8]


def _canary_percent(endpoint: EndpointSettings, updates: UpdateSettings) -> int | None:
    """A canary where there are two instances or more; of one, all moves at once."""
    return updates.canary_percent if endpoint.least_instances > 1 else None


def _deployment_config(
    endpoint: EndpointSettings, updates: UpdateSettings, alarms: list[str]
) -> sagemaker.CfnEndpoint.DeploymentConfigProperty:
    percent = _canary_percent(endpoint, updates)
    canary = sagemaker.CfnEndpoint.CapacitySizeProperty(type="CAPACITY_PERCENT", value=percent or 0)
    return sagemaker.CfnEndpoint.DeploymentConfigProperty(
        blue_green_update_policy=sagemaker.CfnEndpoint.BlueGreenUpdatePolicyProperty(
            traffic_routing_configuration=sagemaker.CfnEndpoint.TrafficRoutingConfigProperty(
                type="CANARY" if percent else "ALL_AT_ONCE",
                canary_size=canary if percent else None,
                # Without a canary too: CloudFormation can do without it, SageMaker cannot.
                wait_interval_in_seconds=updates.watch_seconds,
            ),
            termination_wait_in_seconds=updates.watch_seconds,
            # It must exceed the waits, of which a canary has three.
            maximum_execution_timeout_in_seconds=_UPDATE_SECONDS + 3 * updates.watch_seconds,
        ),
        auto_rollback_configuration=sagemaker.CfnEndpoint.AutoRollbackConfigProperty(
            alarms=[sagemaker.CfnEndpoint.AlarmProperty(alarm_name=name) for name in alarms]
        ),
    )
