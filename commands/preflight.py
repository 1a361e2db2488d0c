"""What would make a deployment to AWS fail, found beforehand (`make preflight STAGE=dev`).

Each check yields findings: what was looked at, whether it is as it must be and, if not, what to do.
Every call reads; nothing is created.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError

from commands.findings import Finding, State, findings_of, judged, report
from commands.stack_states import remedy
from commands.target import add_target_arguments, choose
from stage.instance_types import is_gpu

if TYPE_CHECKING:
    from commands.clients import Clients
    from stage.settings import Settings

# What DefaultStackSynthesizer's templates ask for.
_BOOTSTRAP_VERSION = 6
# Lambda keeps this much of an account's concurrency free of reservations.
_UNRESERVED = 100
VERDICTS: dict[State, str] = {
    "failed": "{} to fix before a deployment.",
    "unknown": "Nothing is known to be wrong; {} could not be checked.",
    "ok": "Ready to deploy.",
}

Check = Callable[["Settings", "Clients"], Iterator[Finding]]

add_arguments = add_target_arguments


def run(options: argparse.Namespace) -> int:
    """Prints each finding as it is made; returns 1 where something must be fixed first."""
    target, choice = choose(options)
    return report(examine(choice.settings, target.client), VERDICTS)


def examine(settings: Settings, client: Clients) -> Iterator[Finding]:
    """Every finding; without credentials only that there are none."""
    for finding in credentials(settings, client):
        yield finding
        if finding.state == "failed":
            return
    for check in CHECKS:
        yield from findings_of(check.__name__.replace("_", " "), check(settings, client))


def credentials(_: Settings, client: Clients) -> Iterator[Finding]:
    """Whether there are credentials that AWS accepts."""
    try:
        identity = client("sts").get_caller_identity()
    except (ClientError, BotoCoreError) as error:
        yield Finding(
            "credentials",
            "failed",
            str(error),
            "Sign in (`aws sso login`), or set AWS_PROFILE; `aws sts get-caller-identity` must"
            " answer.",
        )
        return
    yield Finding("credentials", "ok", f"account {identity['Account']}, {identity['Arn']}")


def bootstrap(
    settings: Settings, client: Clients, qualifier: str = "hnb659fds"
) -> Iterator[Finding]:
    """Whether the CDK's own stack is there, and new enough."""
    remedy = f"Run: cdk bootstrap aws://ACCOUNT/{settings.region}"
    try:
        name = f"/cdk-bootstrap/{qualifier}/version"
        version = int(client("ssm").get_parameter(Name=name)["Parameter"]["Value"])
    except ClientError as error:
        if _code(error) != "ParameterNotFound":
            raise
        found = f"{settings.region} is not bootstrapped for the CDK"
        yield Finding("bootstrap", "failed", found, remedy)
        return
    found = f"version {version}; {_BOOTSTRAP_VERSION} or newer is needed"
    yield judged("bootstrap", found, remedy, ok=version >= _BOOTSTRAP_VERSION)


def stacks(settings: Settings, client: Clients) -> Iterator[Finding]:
    """Whether every stack of the stage is in a state from which it can be updated."""
    for part in settings.stacks:
        name = settings.names.stack(part)
        try:
            (stack,) = client("cloudformation").describe_stacks(StackName=name)["Stacks"]
        except ClientError as error:
            if "does not exist" not in str(error):
                raise
            yield Finding(name, "ok", "not deployed yet")
            continue
        found = remedy(stack)
        yield judged(name, stack["StackStatus"], found, ok=not found)


def images(settings: Settings, client: Clients) -> Iterator[Finding]:
    """Whether the region's registry has the images that jumpstart.lock.json names."""
    lock = settings.lock
    registry = lock.ecr_registries[settings.region]
    for gpu in sorted({is_gpu(instance_type) for instance_type, _, _ in _wanted(settings)}):
        answer = client("ecr").batch_get_image(
            registryId=registry.account,
            repositoryName=lock.image.repository,
            imageIds=[{"imageTag": lock.image.gpu_tag if gpu else lock.image.cpu_tag}],
        )
        uri, there = lock.image_uri(settings.region, gpu=gpu), bool(answer.get("images"))
        yield judged(
            f"image for {'GPU' if gpu else 'CPU'}",
            uri if there else f"{uri} does not exist",
            "Choose another region, or refresh jumpstart.lock.json (docs/configuration.md).",
            ok=there,
        )


def quotas(settings: Settings, client: Clients) -> Iterator[Finding]:
    """Whether the account may run as many instances as the stage asks for.

    An update runs the old instances and the new ones side by side, so an endpoint needs twice its
    number.
    """
    service_quotas = client("service-quotas")
    allowed = {
        quota["QuotaName"]: quota["Value"]
        # A quota granted to the account replaces the default.
        for operation in ("list_aws_default_service_quotas", "list_service_quotas")
        for page in service_quotas.get_paginator(operation).paginate(ServiceCode="sagemaker")
        for quota in page["Quotas"]
    }
    for instance_type, usage, count in _wanted(settings):
        name = f"{instance_type} for {usage} usage"
        have = allowed.get(name)
        if have is None:
            yield Finding(
                name,
                "failed",
                f"{settings.region} has no such quota, so it does not offer the type for this",
                "Choose another instance type or region.",
            )
        elif have < count:
            why = " (old and new instances run side by side in an update)"
            yield Finding(
                name,
                "failed",
                f"{have:g} allowed, {count} needed{why if usage == 'endpoint' else ''}",
                f"Ask for {count} in Service Quotas, Amazon SageMaker, “{name}”.",
            )
        else:
            yield Finding(name, "ok", f"{have:g} allowed, {count} needed")


def endpoint_names(settings: Settings, client: Clients) -> Iterator[Finding]:
    """Whether the endpoints' names are free, or the stage's own."""
    own = _physical_ids(settings.names.stack("Model"), client)
    for endpoint in settings.endpoints:
        name = settings.names.endpoint(endpoint.instance_type)
        try:
            arn = client("sagemaker").describe_endpoint(EndpointName=name)["EndpointArn"]
        except ClientError as error:
            if "Could not find" not in str(error):
                raise
            yield Finding(name, "ok", "the name is free")
            continue
        if own is None:
            yield Finding(name, "unknown", "exists; CloudFormation does not say whose it is")
        elif {arn, name} & own:
            yield Finding(name, "ok", "this stage's own")
        else:
            yield Finding(
                name,
                "failed",
                "an endpoint of this name exists and is not this stage's",
                f"Remove it (aws sagemaker delete-endpoint --endpoint-name {name}), or give the"
                " stage another name.",
            )


def corpus(settings: Settings, client: Clients) -> Iterator[Finding]:
    """Whether a pinned corpus is there; a file was read with the settings."""
    source = settings.corpus
    if source.s3_uri is None:
        yield Finding("corpus", "ok", f"{source.path}, sha256 {settings.corpus_sha256[:12]}")
        return
    bucket, _, key = source.s3_uri.removeprefix("s3://").partition("/")
    try:
        head = client("s3").head_object(Bucket=bucket, Key=key, VersionId=str(source.version_id))
    except ClientError as error:
        yield Finding(
            "corpus",
            "failed",
            f"{source.s3_uri} in version {source.version_id} cannot be read ({_code(error)})",
            "Pin it again (`python -m commands pin-corpus`), and allow s3:GetObjectVersion on it.",
        )
        return
    yield Finding("corpus", "ok", f"{source.s3_uri}, {head['ContentLength']:,} bytes")


def weights(settings: Settings, client: Clients) -> Iterator[Finding]:
    """Whether JumpStart's bucket has the model."""
    bucket = settings.lock.weights_bucket(settings.region)
    prefix = settings.jumpstart_model.weights_key
    uri = f"s3://{bucket}/{prefix}"
    answer = client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix)
    names = {item["Key"].rpartition("/")[2] for item in answer.get("Contents", [])}
    if any(name.endswith((".safetensors", ".bin")) for name in names) and "config.json" in names:
        yield Finding("weights", "ok", f"{uri}: {len(names)} files")
    else:
        listed = ", ".join(sorted(names)) or "nothing"
        yield Finding(
            "weights",
            "failed",
            f"{uri} holds {listed}",
            "Refresh jumpstart.lock.json (docs/configuration.md), or choose another model.",
        )


def concurrency(settings: Settings, client: Clients) -> Iterator[Finding]:
    """Whether Lambda can reserve what the settings ask for."""
    wanted = settings.api.reserved_concurrency
    if wanted is None:
        return
    limits = client("lambda").get_account_settings()["AccountLimit"]
    free = limits["UnreservedConcurrentExecutions"] - _UNRESERVED
    # A deployed front door holds its share already.
    deployed = _physical_ids(settings.names.stack("FrontDoor"), client)
    yield judged(
        "Lambda concurrency",
        f"{free} can be reserved, {wanted} wanted",
        "Lower api.reserved_concurrency, or ask for more “Concurrent executions” in Service"
        " Quotas, AWS Lambda.",
        ok=free >= wanted or bool(deployed),
    )


def vectors(settings: Settings, client: Clients) -> Iterator[Finding]:
    """Whether S3 Vectors answers in the region, where the settings want it."""
    if not settings.search.has_vector_index:
        return
    try:
        client("s3vectors").list_vector_buckets(maxResults=1)
    except EndpointConnectionError as error:
        yield Finding(
            "S3 Vectors",
            "failed",
            str(error),
            f"{settings.region} seems not to have it: choose another region, or"
            ' search.engine = "endpoint".',
        )
    else:
        yield Finding("S3 Vectors", "ok", f"answers in {settings.region}")


def network(settings: Settings, client: Clients) -> Iterator[Finding]:
    """Whether what a private stage's settings name by id is there, and fits together."""
    wanted = settings.network
    if not wanted.is_private:
        return
    ec2 = client("ec2")
    name = f"com.amazonaws.{settings.region}.s3"
    listed = ec2.describe_prefix_lists(Filters=[{"Name": "prefix-list-name", "Values": [name]}])[
        "PrefixLists"
    ]
    ids = ", ".join(each["PrefixListId"] for each in listed) or "none"
    yield judged(
        "S3's prefix list",
        f"{wanted.s3_prefix_list_id}; {settings.region} has {ids}",
        f"Set network.s3_prefix_list_id to {ids}.",
        ok=wanted.s3_prefix_list_id == ids,
    )
    existing = wanted.existing
    if existing is None:
        return
    for attribute in ("enableDnsSupport", "enableDnsHostnames"):
        answer = ec2.describe_vpc_attribute(VpcId=existing.vpc_id, Attribute=attribute)
        yield judged(
            attribute,
            f"of {existing.vpc_id}",
            "Switch it on: without it the names of AWS's services do not lead to the endpoints.",
            ok=answer[f"{attribute[0].upper()}{attribute[1:]}"]["Value"],
        )
    subnets = ec2.describe_subnets(SubnetIds=[*existing.subnet_ids])["Subnets"]
    zones = {each["AvailabilityZone"] for each in subnets}
    yield judged(
        "subnets",
        f"{len(subnets)} in {', '.join(sorted(zones))}",
        f"Name subnets of {existing.vpc_id} in two zones or more.",
        ok={each["VpcId"] for each in subnets} == {existing.vpc_id} and len(zones) > 1,
    )
    answer = ec2.describe_vpc_endpoints(Filters=[{"Name": "vpc-id", "Values": [existing.vpc_id]}])
    there = {each["ServiceName"].split(".", 3)[-1] for each in answer["VpcEndpoints"]}
    # Those that this stage made are listed as well once it is deployed.
    missing = sorted({*existing.endpoints} - there)
    yield judged(
        "endpoints",
        f"{', '.join(sorted(there)) or 'none'} in {existing.vpc_id}",
        f"Take {', '.join(missing)} out of network.existing.endpoints, or make them.",
        ok=not missing,
    )


CHECKS: tuple[Check, ...] = (
    bootstrap,
    stacks,
    images,
    quotas,
    endpoint_names,
    corpus,
    weights,
    concurrency,
    vectors,
    network,
)


def _wanted(settings: Settings) -> list[tuple[str, str, int]]:
    """Instance type, what for, and how many: as the quotas' names have it."""
    endpoints = [
        (
            e.instance_type,
            "endpoint",
            2 * (e.scaling.max_instances if e.scaling else e.instance_count),
        )
        for e in settings.endpoints
    ]
    return [
        *endpoints,
        (settings.bake.instance_type, "training job", 1),
        (settings.batch_instance_type, "transform job", settings.batch.instance_count),
    ]


def _physical_ids(stack_name: str, client: Clients) -> set[str] | None:
    """Of the stack's resources; empty without a stack, None where CloudFormation refuses to say."""
    try:
        pages = client("cloudformation").get_paginator("list_stack_resources")
        return {
            resource["PhysicalResourceId"]
            for page in pages.paginate(StackName=stack_name)
            for resource in page["StackResourceSummaries"]
            if "PhysicalResourceId" in resource
        }
    except ClientError as error:
        return set() if "does not exist" in str(error) else None


def _code(error: ClientError) -> str:
    code: str = error.response["Error"]["Code"]
    return code
