"""The private network: subnets, endpoints with their policies, security groups and flow logs."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct

from contract.batch_objects import SLOTS_PREFIX
from contract.names import API_STAGE
from stacks.common.arns import (
    endpoint_arn,
    executions_arn,
    log_group_arn,
    parameter_arn,
    published_assets_arn,
    s3_arn,
    stack_arn,
    state_machine_arn,
    training_job_arn,
    transform_job_arn,
    vector_bucket_arn,
    vector_indexes_arn,
)
from stacks.common.network import Network
from stacks.common.policies import statement
from stacks.common.stage_stack import StageStack
from stacks.foundation.storage import Storage
from stage.settings import Settings
from stage.tables import Service

_HTTPS = 443
_API: Service = "execute-api"
# Without a rule, a group gets one to everywhere. This one leads nowhere, as the CDK writes it.
_TO_NOWHERE = ec2.CfnSecurityGroup.EgressProperty(
    description="To nowhere",
    cidr_ip="255.255.255.255/32",
    ip_protocol="icmp",
    from_port=252,
    to_port=86,
)

Grants = Mapping[Service, Sequence[tuple[Sequence[str], Sequence[str]]]]


class PrivateNetwork(Construct):
    """A VPC without a route to the Internet, or a given one, with a door for each service in use.

    Attributes:
        network: for functions, models and jobs.
    """

    def __init__(
        self, scope: Construct, id_: str, *, settings: Settings, storage: Storage, key: kms.IKey
    ) -> None:
        super().__init__(scope, id_)
        self._settings = settings
        self._wanted = settings.network
        existing = self._wanted.existing
        self._there = set(existing.endpoints) if existing else set()
        if existing:
            self._vpc_id = existing.vpc_id
            self._subnet_ids = [*existing.subnet_ids]
            self._route_table_ids = [*existing.route_table_ids]
        else:
            self._vpc_id, self._subnet_ids, self._route_table_ids = self._make_vpc()
            self._keep_flow_logs(key)
        functions = self._group(
            "Functions", "Functions: to the interface endpoints and S3", egress=[self._to_s3()]
        )
        models = self._group("Models", "Models and jobs: to S3", egress=[self._to_s3()])
        self._make_s3_endpoint(storage)
        self._make_interface_endpoints(functions)
        self.network = Network(
            subnet_ids=self._subnet_ids,
            function_group=functions,
            model_group=models,
            api_endpoint_id=self._api_endpoint() if self._wanted.private_api else None,
            ready=self,
        )

    def _make_vpc(self) -> tuple[str, list[str], list[str]]:
        """Returns the ids of the VPC, of a subnet in each zone, and of their route table."""
        network = ipaddress.IPv4Network(self._wanted.cidr)
        vpc = ec2.CfnVPC(
            self,
            "Vpc",
            cidr_block=str(network),
            # The names of AWS's services lead to the endpoints.
            enable_dns_support=True,
            enable_dns_hostnames=True,
            tags=self._named(self._settings.names.prefix),
        )
        table = ec2.CfnRouteTable(self, "Routes", vpc_id=vpc.ref)
        zones = self._wanted.availability_zones or [
            cdk.Fn.select(number, cdk.Fn.get_azs()) for number in range(2)
        ]
        subnet_ids = []
        for number, (zone, block) in enumerate(
            zip(zones, network.subnets(prefixlen_diff=2), strict=False), start=1
        ):
            subnet = ec2.CfnSubnet(
                self,
                f"Subnet{number}",
                vpc_id=vpc.ref,
                availability_zone=zone,
                cidr_block=str(block),
                map_public_ip_on_launch=False,
                tags=self._named(f"{self._settings.names.prefix}-{number}"),
            )
            ec2.CfnSubnetRouteTableAssociation(
                self, f"Routes{number}", subnet_id=subnet.ref, route_table_id=table.ref
            )
            subnet_ids.append(subnet.ref)
        return vpc.ref, subnet_ids, [table.ref]

    def _keep_flow_logs(self, key: kms.IKey) -> None:
        """Who spoke to whom in the VPC, or tried to; the owner of a given one has its own."""
        stack = StageStack.containing(self)
        group = logs.CfnLogGroup(
            self,
            "FlowLogs",
            kms_key_id=key.key_arn,
            retention_in_days=self._wanted.flow_log_retention_days,
        )
        group.apply_removal_policy(stack.removal_policy)
        role = iam.Role(
            self,
            "FlowLogRole",
            assumed_by=iam.ServicePrincipal(
                "vpc-flow-logs.amazonaws.com",
                conditions={"StringEquals": {"aws:SourceAccount": stack.account}},
            ),
            inline_policies={
                "Logs": iam.PolicyDocument(
                    statements=[
                        statement(
                            self,
                            [
                                "logs:CreateLogStream",
                                "logs:DescribeLogStreams",
                                "logs:PutLogEvents",
                            ],
                            [group.attr_arn],
                        )
                    ]
                )
            },
        )
        ec2.CfnFlowLog(
            self,
            "FlowLog",
            resource_id=self._vpc_id,
            resource_type="VPC",
            traffic_type="ALL",
            log_destination_type="cloud-watch-logs",
            log_group_name=group.ref,
            deliver_logs_permission_arn=role.role_arn,
            max_aggregation_interval=600,
        )

    def _make_s3_endpoint(self, storage: Storage) -> None:
        if "s3" in self._there:
            return
        ec2.CfnVPCEndpoint(
            self,
            "Endpoint-s3",
            vpc_id=self._vpc_id,
            service_name=self._service_name("s3"),
            vpc_endpoint_type="Gateway",
            route_table_ids=self._route_table_ids,
            policy_document=iam.PolicyDocument(statements=self._s3_statements(storage)),
        )

    def _s3_statements(self, storage: Storage) -> list[iam.PolicyStatement]:
        stack, settings = StageStack.containing(self), self._settings
        published = published_assets_arn(self)
        weights = s3_arn(self, settings.lock.weights_bucket(settings.region))
        own = [bucket.bucket_arn for bucket in (storage.artifacts, storage.batch)]
        ours = {"aws:PrincipalAccount": stack.account}
        our_buckets = {**ours, "aws:ResourceAccount": stack.account}
        found = [
            _allow("OwnBuckets", ["s3:ListBucket"], own, our_buckets),
            _allow(
                "OwnObjects",
                [
                    "s3:AbortMultipartUpload",
                    "s3:GetObject",
                    "s3:GetObjectVersion",
                    "s3:ListMultipartUploadParts",
                    "s3:PutObject",
                ],
                [f"{arn}/*" for arn in own],
                our_buckets,
            ),
            _allow(
                "Slots",
                ["s3:DeleteObject"],
                [storage.batch.arn_for_objects(f"{SLOTS_PREFIX}*")],
                our_buckets,
            ),
            _allow(
                "Published",
                ["s3:GetObject", "s3:ListBucket"],
                [published, f"{published}/{stack.asset_prefix}*"],
                our_buckets,
            ),
            _allow(
                "JumpStart",
                ["s3:GetObject", "s3:ListBucket"],
                [weights, f"{weights}/{settings.jumpstart_model.weights_key}*"],
                ours,
            ),
            # CloudFormation signs the URL, so who asks is not of this account. Its bucket has the
            # region without dashes.
            _allow(
                "AnswersToCloudFormation",
                ["s3:PutObject"],
                [
                    s3_arn(
                        self,
                        "cloudformation-custom-resource-response-"
                        f"{settings.region.replace('-', '')}/*",
                    )
                ],
            ),
            # ECR signs these URLs.
            _allow(
                "ImageLayers",
                ["s3:GetObject"],
                [s3_arn(self, f"prod-{settings.region}-starport-layer-bucket/*")],
            ),
        ]
        if stack.removal_policy is cdk.RemovalPolicy.DESTROY:
            emptied = [*own, storage.access_logs.bucket_arn]
            found += [
                _allow(
                    "Emptying",
                    [
                        "s3:ListBucketMultipartUploads",
                        "s3:ListBucketVersions",
                        "s3:PutBucketPolicy",
                    ],
                    emptied,
                    our_buckets,
                ),
                _allow(
                    "Deleting",
                    ["s3:AbortMultipartUpload", "s3:DeleteObject", "s3:DeleteObjectVersion"],
                    [f"{arn}/*" for arn in emptied],
                    our_buckets,
                ),
            ]
        # Of whichever account: the settings name them.
        named = [f"{uri}*" for uri in settings.batch.input_locations]
        named += [settings.corpus.s3_uri] if settings.corpus.s3_uri else []
        if named:
            arns = [s3_arn(self, uri) for uri in named]
            found.append(_allow("Named", ["s3:GetObject", "s3:GetObjectVersion"], arns, ours))
        return found

    def _make_interface_endpoints(self, functions: str) -> None:
        grants = self._grants()
        services = [*grants, *(s for s in self._wanted.more_endpoints if s not in grants)]
        made = [s for s in services if s not in self._there | {"s3", _API}]
        existing = self._wanted.existing
        group_of_existing = existing.endpoint_security_group_id if existing else None
        groups = {"Existing": group_of_existing} if group_of_existing else {}
        if made:
            groups["Endpoints"] = group = self._group(
                "Endpoints", "Interface endpoints: from functions"
            )
            for service in made:
                self._interface_endpoint(service, group, grants.get(service, ()))
        for name, group in groups.items():
            self._let(functions, group, name)

    def _grants(self) -> Grants:
        """What the functions call, and what of it: nothing else passes the endpoints.

        S3 calls KMS for them, Lambda writes their logs, metrics are logs, and alarms write to the
        topic, so there are no endpoints for these. SageMaker pulls images, sends logs and assumes
        roles from its own network; with network isolation, containers call nothing.
        """
        names = self._settings.names
        workflows = [names.bake_workflow, names.batch_workflow]
        has_index = self._settings.search.has_vector_index
        if has_index:
            workflows.append(names.index_workflow)
        endpoints = [endpoint_arn(self, f"{names.prefix}-*")]
        grants: dict[Service, list[tuple[Sequence[str], Sequence[str]]]] = {
            "cloudformation": [
                (["cloudformation:DescribeStacks"], [stack_arn(self, names.stack("*"))])
            ],
            "sagemaker.api": [
                (
                    ["sagemaker:DescribeTrainingJob", "sagemaker:StopTrainingJob"],
                    [training_job_arn(self, f"{names.prefix}-*")],
                ),
                (
                    ["sagemaker:DescribeTransformJob", "sagemaker:StopTransformJob"],
                    [transform_job_arn(self, f"{names.prefix}-*")],
                ),
                (["sagemaker:DescribeEndpoint"], endpoints),
            ],
            "sagemaker.runtime": [(["sagemaker:InvokeEndpoint"], endpoints)],
            "ssm": [(["ssm:GetParameter"], [parameter_arn(self, f"{names.parameter_prefix}/*")])],
            "states": [
                (
                    ["states:ListExecutions", "states:StartExecution"],
                    [state_machine_arn(self, each) for each in workflows],
                ),
                (
                    ["states:DescribeExecution", "states:StopExecution"],
                    [executions_arn(self, each) for each in workflows],
                ),
            ],
        }
        if has_index:
            grants["s3vectors"] = [
                (["s3vectors:ListIndexes"], [vector_bucket_arn(self, names.vector_bucket)]),
                (
                    [
                        "s3vectors:CreateIndex",
                        "s3vectors:DeleteIndex",
                        "s3vectors:GetIndex",
                        "s3vectors:GetVectors",
                        "s3vectors:ListVectors",
                        "s3vectors:PutVectors",
                        "s3vectors:QueryVectors",
                    ],
                    [vector_indexes_arn(self, names.vector_bucket)],
                ),
            ]
            index = [parameter_arn(self, names.index_parameter)]
            grants["ssm"].append((["ssm:DeleteParameter", "ssm:PutParameter"], index))
        if self._settings.search.keep_unanswered:
            group = log_group_arn(self, f"{names.unanswered_log_group}:*")
            grants["logs"] = [(["logs:CreateLogStream", "logs:PutLogEvents"], [group])]
        return grants

    def _interface_endpoint(
        self,
        service: Service,
        group: str,
        grants: Sequence[tuple[Sequence[str], Sequence[str]]],
    ) -> ec2.CfnVPCEndpoint:
        stack = cdk.Stack.of(self)
        ours = {"aws:PrincipalAccount": stack.account, "aws:ResourceAccount": stack.account}
        if service == _API:
            # Callers may have a key or a token instead of a principal.
            apis = stack.format_arn(service=_API, resource="*", resource_name=f"{API_STAGE}/*")
            statements = [_allow("Apis", ["execute-api:Invoke"], [apis])]
        elif grants:
            statements = [
                _allow(f"Calls{number}", actions, resources, ours)
                for number, (actions, resources) in enumerate(grants, start=1)
            ]
        else:
            # Nothing of this stage calls it; ECR's images are another account's.
            only = {"aws:PrincipalAccount": stack.account} if service.startswith("ecr") else ours
            prefix = {"monitoring": "cloudwatch"}.get(service, service.partition(".")[0])
            statements = [_allow("Account", [f"{prefix}:*"], ["*"], only)]
        return ec2.CfnVPCEndpoint(
            self,
            f"Endpoint-{service}",
            vpc_id=self._vpc_id,
            service_name=self._service_name(service),
            vpc_endpoint_type="Interface",
            private_dns_enabled=True,
            subnet_ids=self._subnet_ids,
            security_group_ids=[group],
            policy_document=iam.PolicyDocument(statements=statements),
        )

    def _api_endpoint(self) -> str:
        """The id of the endpoint that the private API answers."""
        existing = self._wanted.existing
        if existing and existing.api_endpoint_id:
            return existing.api_endpoint_id
        group = self._group(
            "Api",
            "The private API: from its callers",
            ingress=[
                ec2.CfnSecurityGroup.IngressProperty(
                    description="Callers of the API",
                    cidr_ip=network,
                    ip_protocol="tcp",
                    from_port=_HTTPS,
                    to_port=_HTTPS,
                )
                for network in self._wanted.callers
            ],
        )
        return self._interface_endpoint(_API, group, ()).ref

    def _group(
        self,
        id_: str,
        description: str,
        *,
        egress: Sequence[ec2.CfnSecurityGroup.EgressProperty] = (_TO_NOWHERE,),
        ingress: Sequence[ec2.CfnSecurityGroup.IngressProperty] | None = None,
    ) -> str:
        """Makes a security group, closed but for these rules; returns its id."""
        group = ec2.CfnSecurityGroup(
            self,
            f"Group-{id_}",
            group_description=f"{self._settings.names.prefix}, {description}",
            vpc_id=self._vpc_id,
            security_group_egress=[*egress],
            security_group_ingress=[*ingress] if ingress else None,
        )
        return group.attr_group_id

    def _to_s3(self) -> ec2.CfnSecurityGroup.EgressProperty:
        return ec2.CfnSecurityGroup.EgressProperty(
            description="To S3, by its gateway endpoint",
            destination_prefix_list_id=self._wanted.s3_prefix_list_id,
            ip_protocol="tcp",
            from_port=_HTTPS,
            to_port=_HTTPS,
        )

    def _let(self, functions: str, group: str, name: str) -> None:
        """Lets the functions speak to the interface endpoints of a group."""
        ec2.CfnSecurityGroupEgress(
            self,
            f"To-{name}",
            description="To the interface endpoints",
            group_id=functions,
            destination_security_group_id=group,
            ip_protocol="tcp",
            from_port=_HTTPS,
            to_port=_HTTPS,
        )
        ec2.CfnSecurityGroupIngress(
            self,
            f"From-{name}",
            description=f"Functions of {self._settings.names.prefix}",
            group_id=group,
            source_security_group_id=functions,
            ip_protocol="tcp",
            from_port=_HTTPS,
            to_port=_HTTPS,
        )

    def _service_name(self, service: Service) -> str:
        return f"com.amazonaws.{self._settings.region}.{service}"

    def _named(self, name: str) -> list[cdk.CfnTag]:
        return [cdk.CfnTag(key="Name", value=name)]


def _allow(
    sid: str,
    actions: Sequence[str],
    resources: Sequence[str],
    conditions: Mapping[str, str] | None = None,
) -> iam.PolicyStatement:
    """A statement of an endpoint's policy, for every principal that meets the conditions."""
    return iam.PolicyStatement(
        sid=sid,
        principals=[iam.AnyPrincipal()],
        actions=[*actions],
        resources=[*resources],
        conditions={"StringEquals": dict(conditions)} if conditions else None,
    )
