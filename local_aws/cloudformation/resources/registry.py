"""The provider of each resource type."""

from __future__ import annotations

from local_aws.cloudformation.resources import (
    api_gateway,
    iam,
    lambda_functions,
    s3,
    s3_vectors,
    sagemaker,
    small_services,
)
from local_aws.cloudformation.resources.base import NoEffect, Provider

PROVIDERS: dict[str, Provider] = {
    "AWS::ApplicationAutoScaling::ScalableTarget": NoEffect(),
    "AWS::ApplicationAutoScaling::ScalingPolicy": NoEffect(),
    "AWS::Budgets::Budget": NoEffect(),
    "AWS::CDK::Metadata": NoEffect(),
    "AWS::CloudFormation::WaitConditionHandle": NoEffect(),
    "AWS::WAFv2::LoggingConfiguration": NoEffect(),
    "AWS::WAFv2::WebACL": NoEffect(),
    "AWS::WAFv2::WebACLAssociation": NoEffect(),
    # Nothing is routed or filtered here: functions and models reach whatever this machine does.
    "AWS::EC2::FlowLog": NoEffect("fl", "Id"),
    "AWS::EC2::RouteTable": NoEffect("rtb", "RouteTableId"),
    "AWS::EC2::SecurityGroup": NoEffect("sg", "GroupId"),
    "AWS::EC2::SecurityGroupEgress": NoEffect("sgr"),
    "AWS::EC2::SecurityGroupIngress": NoEffect("sgr"),
    "AWS::EC2::Subnet": NoEffect("subnet", "SubnetId"),
    "AWS::EC2::SubnetRouteTableAssociation": NoEffect("rtbassoc"),
    "AWS::EC2::VPC": NoEffect("vpc", "VpcId"),
    "AWS::EC2::VPCEndpoint": NoEffect("vpce", "Id"),
    **api_gateway.PROVIDERS,
    **iam.PROVIDERS,
    **lambda_functions.PROVIDERS,
    **s3.PROVIDERS,
    **s3_vectors.PROVIDERS,
    **sagemaker.PROVIDERS,
    **small_services.PROVIDERS,
}
