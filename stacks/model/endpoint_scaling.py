"""How many instances an endpoint has, by how busy they are."""

from __future__ import annotations

from aws_cdk import aws_applicationautoscaling as autoscaling
from aws_cdk import aws_sagemaker as sagemaker
from constructs import Construct

from stacks.common.endpoint_metrics import VARIANT
from stage.tables import ScalingSettings

# Load is met at once, and what was added for it is kept until the load has stayed away. In
# between SageMaker takes no further change anyway, until the new instances are in service.
_SCALE_OUT_SECONDS = 60
_SCALE_IN_SECONDS = 300


class EndpointScaling(Construct):
    """Target tracking of the requests at once per instance, which SageMaker measures every 10 s.

    The low-level constructs, because the high-level one makes a role that the service ignores: it
    uses its own service-linked role.
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
        # Only a variant that exists can be registered; and it goes after its target has gone.
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
