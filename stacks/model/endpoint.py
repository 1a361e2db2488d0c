"""Serving a bake: the Model of a processor, and the endpoint of an instance type."""

from __future__ import annotations

import hashlib
import json

from aws_cdk import aws_applicationautoscaling as autoscaling
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sagemaker as sagemaker
from aws_cdk import aws_sns as sns
from constructs import Construct

from contract.names import VARIANT
from stacks.alarms.endpoint import UpdateAlarms, WatchingAlarms
from stacks.common.endpoint import NamedEndpoint
from stacks.common.python_function import PythonFunction
from stacks.common.stage_stack import StageStack
from stacks.model.bake import Bake
from stacks.model.switch import ServingSwitch
from stage import model_server
from stage.instance_types import has_local_storage, is_gpu
from stage.settings import Settings
from stage.tables import EndpointSettings, ScalingSettings, UpdateSettings

# The image's CUDA 12.4 needs driver 550 or newer; this one brings 580. With the older one that
# SageMaker's own default may have, the container does not start and leaves no log.
_GPU_HOST_IMAGE = "al2023-ami-sagemaker-inference-gpu-4-1"
# From the start of the container to its first answered ping: it reads and compiles the model.
_STARTUP_SECONDS = 600
# How long an update may take apart from watching: getting instances, starting them, loading the
# model. If AWS has no instances available it is rolled back then; CloudFormation would otherwise
# wait 16 hours.
_UPDATE_SECONDS = 3600
# Instances are added at once and removed late. Meanwhile SageMaker accepts no other change anyway,
# until the new instances are in service.
_SCALE_OUT_SECONDS = 60
_SCALE_IN_SECONDS = 300


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
        network = StageStack.containing(self).network
        self.resource = sagemaker.CfnModel(
            self,
            "Resource",
            execution_role_arn=execution_role.role_arn,
            enable_network_isolation=True,
            vpc_config=network.of_model() if network else None,
            primary_container=sagemaker.CfnModel.ContainerDefinitionProperty(
                image=settings.lock.image_uri(settings.region, gpu=gpu),
                model_data_url=bake.model_data_url,
                environment={
                    # The container refuses an artifact of another bake.
                    "BAKE_ID": bake.bake_id,
                    "SAGEMAKER_PROGRAM": "inference.py",
                    "SAGEMAKER_CONTAINER_LOG_LEVEL": "20",
                    **model_server.environment(gpu=gpu),
                },
            ),
        )
        self.name = self.resource.attr_model_name
        self.bake_id = bake.bake_id


class EmbeddingEndpoint(Construct):
    """An endpoint with a fixed name over a configuration without one.

    A new model means a new configuration, to which SageMaker moves the endpoint blue/green, with
    alarms that roll it back. The endpoint exists only while the switch is on; configuration and
    alarms stay.

    Attributes:
        name: of the endpoint.
        resource: the endpoint itself.
        configuration: what it serves at the moment.
        device: `cpu` or `gpu`, what it must compute on.
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
        instance_type, scaling = endpoint.instance_type, endpoint.scaling
        self._named = NamedEndpoint(settings, instance_type)
        self.name = self._named.name
        self.device = endpoint.device or ("gpu" if is_gpu(instance_type) else "cpu")
        self.configuration = sagemaker.CfnEndpointConfig(
            self,
            # SageMaker only updates an endpoint to a different configuration. So if the way of
            # updating changes, the configuration must change too, or the update would fail.
            f"Configuration-{_way_of_updating(endpoint, settings.updates)}",
            production_variants=[
                sagemaker.CfnEndpointConfig.ProductionVariantProperty(
                    variant_name=VARIANT,
                    model_name=model.name,
                    instance_type=instance_type,
                    initial_instance_count=endpoint.instance_count,
                    initial_variant_weight=1,
                    # By default requests go to any instance, also to one that is still busy.
                    routing_config=sagemaker.CfnEndpointConfig.RoutingConfigProperty(
                        routing_strategy="LEAST_OUTSTANDING_REQUESTS"
                    ),
                    container_startup_health_check_timeout_in_seconds=_STARTUP_SECONDS,
                    inference_ami_version=endpoint.host_image
                    or (_GPU_HOST_IMAGE if is_gpu(instance_type) else None),
                )
            ],
            kms_key_id=None if has_local_storage(instance_type) else key.key_arn,
        )
        alarms = UpdateAlarms(
            self,
            "UpdateAlarms",
            settings=settings,
            endpoint=self._named,
            configuration_name=self.configuration.attr_endpoint_config_name,
            bake_id=model.bake_id,
            topic=topic,
        )
        WatchingAlarms(self, "Alarms", settings=settings, endpoint=self._named, topic=topic)
        self.resource = sagemaker.CfnEndpoint(
            self,
            "Resource",
            endpoint_name=self.name,
            endpoint_config_name=self.configuration.attr_endpoint_config_name,
            deployment_config=_deployment_config(endpoint, settings.updates, alarms.names),
        )
        switch.only_while_on(self.resource)
        if scaling is not None:
            # Otherwise an update would start with the configuration's count, however many instances
            # the load needs by then. Only with scaling: it makes SageMaker ignore a changed count.
            self.resource.retain_all_variant_properties = True
            EndpointScaling(
                self,
                "Scaling",
                endpoint=self.resource,
                endpoint_name=self.name,
                scaling=scaling,
            )

    def grant_invoke(self, function: PythonFunction) -> None:
        """Lets a function send requests to the endpoint."""
        self._named.grant_invoke(function)


class EndpointScaling(Construct):
    """Adds and removes instances by the concurrent requests per instance, measured every 10 s.

    Low-level constructs, because the high-level one makes a role that the service ignores in
    favour of its service-linked role.
    """

    def __init__(
        self,
        scope: Construct,
        id_: str,
        *,
        endpoint: sagemaker.CfnEndpoint,
        endpoint_name: str,
        scaling: ScalingSettings,
    ) -> None:
        super().__init__(scope, id_)
        target = autoscaling.CfnScalableTarget(
            self,
            "Target",
            service_namespace="sagemaker",
            scalable_dimension="sagemaker:variant:DesiredInstanceCount",
            resource_id=f"endpoint/{endpoint_name}/variant/{VARIANT}",
            min_capacity=scaling.min_instances,
            max_capacity=scaling.max_instances,
        )
        # Only an existing variant can be registered, and its target must be deleted first.
        target.node.add_dependency(endpoint)
        policy = autoscaling.CfnScalingPolicy(
            self,
            "Policy",
            policy_name="concurrent-requests",
            policy_type="TargetTrackingScaling",
            scaling_target_id=target.ref,
            target_tracking_scaling_policy_configuration=(
                autoscaling.CfnScalingPolicy.TargetTrackingScalingPolicyConfigurationProperty(
                    target_value=scaling.concurrent_requests,
                    predefined_metric_specification=(
                        autoscaling.CfnScalingPolicy.PredefinedMetricSpecificationProperty(
                            predefined_metric_type=(
                                "SageMakerVariantConcurrentRequestsPerModelHighResolution"
                            )
                        )
                    ),
                    scale_out_cooldown=_SCALE_OUT_SECONDS,
                    scale_in_cooldown=_SCALE_IN_SECONDS,
                )
            ),
        )
        for resource in (target, policy):
            resource.cfn_options.condition = endpoint.cfn_options.condition


def _way_of_updating(endpoint: EndpointSettings, updates: UpdateSettings) -> str:
    """Eight characters that change when an update of this endpoint would proceed differently."""
    way = [_canary_percent(endpoint, updates), updates.watch_seconds, endpoint.scaling is not None]
    return hashlib.sha256(json.dumps(way).encode()).hexdigest()[:8]


def _canary_percent(endpoint: EndpointSettings, updates: UpdateSettings) -> int | None:
    """None for a single instance, whose traffic moves all at once."""
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
                # Also without a canary: optional for CloudFormation, required by SageMaker.
                wait_interval_in_seconds=updates.watch_seconds,
            ),
            termination_wait_in_seconds=updates.watch_seconds,
            # Must exceed the waits, of which a canary has three.
            maximum_execution_timeout_in_seconds=_UPDATE_SECONDS + 3 * updates.watch_seconds,
        ),
        auto_rollback_configuration=sagemaker.CfnEndpoint.AutoRollbackConfigProperty(
            alarms=[sagemaker.CfnEndpoint.AlarmProperty(alarm_name=name) for name in alarms]
        ),
    )
