"""Preflight: what each check asks AWS (read-only), and what it says of the answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import NoCredentialsError
from botocore.stub import Stubber

from commands import preflight
from commands.findings import Finding, findings_of, report
from stage.settings import Settings, check_settings, load_settings

MODEL = "FaqSearch-dev-Model"
ENDPOINT = "faq-search-dev-c6i-xlarge"
REGISTRY = "763104351884"


class Aws:
    """Clients that expect exactly the given calls, in order."""

    def __init__(self) -> None:
        self._clients: dict[str, Any] = {}
        self._stubbers: dict[str, Stubber] = {}

    def client(self, service: str) -> Any:
        if service not in self._clients:
            client = boto3.client(
                service, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="y"
            )
            client.meta.events.register("before-parameter-build", _assert_it_reads)
            self._clients[service] = client
            self._stubbers[service] = Stubber(client)
            self._stubbers[service].activate()
        return self._clients[service]

    def answers(self, service: str, operation: str, expected: Any, answer: Any) -> None:
        self.client(service)
        self._stubbers[service].add_response(operation, answer, expected)

    def refuses(self, service: str, operation: str, code: str, message: str = "no") -> None:
        self.client(service)
        self._stubbers[service].add_client_error(operation, code, message)

    def assert_all_asked(self) -> None:
        for stubber in self._stubbers.values():
            stubber.assert_no_pending_responses()


def _assert_it_reads(model: Any, **_: Any) -> None:
    assert model.name.startswith(("Get", "List", "Describe", "Head", "BatchGet")), model.name


@pytest.fixture
def aws():
    found = Aws()
    yield found
    found.assert_all_asked()


@pytest.fixture(scope="module")
def dev() -> Settings:
    return load_settings("dev")


def settings_with(**changes: Any) -> Settings:
    values = {
        "region": "us-east-1",
        "removal_policy": "destroy",
        "model": {"id": "huggingface-sentencesimilarity-e5-base-v2"},
        "corpus": {"path": "corpus/sample/amazon_sagemaker_faq.csv"},
        "bake": {"instance_type": "ml.c6i.xlarge"},
        "endpoints": [{"instance_type": "ml.c6i.xlarge"}],
    }
    return check_settings("dev", values | changes, source="test")


def run(check: Callable[..., Any], settings: Settings, aws: Aws) -> list[Finding]:
    return list(findings_of(check.__name__, check(settings, aws.client)))


def one(check: Callable[..., Any], settings: Settings, aws: Aws) -> Finding:
    (found,) = run(check, settings, aws)
    return found


def test_credentials(dev, aws) -> None:
    identity = {
        "Account": "111122223333",
        "Arn": "arn:aws:iam::111122223333:user/me",
        "UserId": "U",
    }
    aws.answers("sts", "get_caller_identity", {}, identity)
    found = one(preflight.credentials, dev, aws)
    assert (found.state, "111122223333" in found.found) == ("ok", True)


def test_without_credentials_nothing_else_is_asked(dev) -> None:
    class Sts:
        def get_caller_identity(self) -> None:
            raise NoCredentialsError

    def client(service: str) -> Any:
        assert service == "sts"
        return Sts()

    (found,) = preflight.examine(dev, client)
    assert found.state == "failed"
    assert "AWS_PROFILE" in found.remedy


@pytest.mark.parametrize(("version", "state"), [("6", "ok"), ("21", "ok"), ("5", "failed")])
def test_bootstrap_is_new_enough(dev, aws, version, state) -> None:
    name = "/cdk-bootstrap/hnb659fds/version"
    aws.answers("ssm", "get_parameter", {"Name": name}, {"Parameter": {"Value": version}})
    found = one(preflight.bootstrap, dev, aws)
    assert found.state == state
    assert bool(found.remedy) is (state == "failed")


def test_bootstrap_is_missing(dev, aws) -> None:
    aws.refuses("ssm", "get_parameter", "ParameterNotFound")
    found = one(preflight.bootstrap, dev, aws)
    assert (found.state, found.remedy) == ("failed", "Run: cdk bootstrap aws://ACCOUNT/us-east-1")


def test_what_may_not_be_asked_is_not_called_wrong(dev, aws) -> None:
    aws.refuses("ssm", "get_parameter", "AccessDeniedException")
    assert one(preflight.bootstrap, dev, aws).state == "unknown"


@pytest.mark.parametrize(
    ("status", "state", "remedy"),
    [
        ("CREATE_COMPLETE", "ok", ""),
        ("UPDATE_ROLLBACK_COMPLETE", "ok", ""),
        ("ROLLBACK_COMPLETE", "failed", "delete-stack --stack-name FaqSearch-dev-"),
        ("UPDATE_ROLLBACK_FAILED", "failed", "continue-update-rollback"),
        ("UPDATE_IN_PROGRESS", "failed", "try again"),
    ],
)
def test_stacks_can_be_updated(dev, aws, status, state, remedy) -> None:
    created = {"CreationTime": "2026-01-01T00:00:00Z", "StackStatus": status}
    for part in ("Foundation", "Model", "Batch", "FrontDoor", "Operations"):
        name = f"FaqSearch-dev-{part}"
        stack = {"StackName": name, **created}
        aws.answers("cloudformation", "describe_stacks", {"StackName": name}, {"Stacks": [stack]})
    found = run(preflight.stacks, dev, aws)
    assert {f.state for f in found} == {state}
    assert all(remedy in f.remedy and bool(f.remedy) is bool(remedy) for f in found)


def test_a_protected_stack_that_was_never_deployed_needs_its_protection_off_first(dev, aws) -> None:
    """The CDK protects a stack before its first deployment has succeeded."""
    name = "FaqSearch-dev-Foundation"
    stack = {
        "StackName": name,
        "StackStatus": "ROLLBACK_COMPLETE",
        "CreationTime": "2026-01-01T00:00:00Z",
        "EnableTerminationProtection": True,
    }
    aws.answers("cloudformation", "describe_stacks", {"StackName": name}, {"Stacks": [stack]})
    found = next(preflight.stacks(dev, aws.client))
    assert found.remedy == (
        "Its creation or removal failed; delete it: aws cloudformation"
        f" update-termination-protection --no-enable-termination-protection --stack-name {name}"
        f" && aws cloudformation delete-stack --stack-name {name}"
    )


def test_stacks_that_are_not_there_are_fine(dev, aws) -> None:
    for _ in range(5):
        aws.refuses("cloudformation", "describe_stacks", "ValidationError", "x does not exist")
    assert {f.state for f in run(preflight.stacks, dev, aws)} == {"ok"}


def image_request(settings: Settings, *, gpu: bool) -> dict[str, Any]:
    image = settings.lock.image
    return {
        "registryId": REGISTRY,
        "repositoryName": image.repository,
        "imageIds": [{"imageTag": image.gpu_tag if gpu else image.cpu_tag}],
    }


def test_images_of_the_processors_in_use(dev, aws) -> None:
    there = {"images": [{"registryId": REGISTRY}]}
    aws.answers("ecr", "batch_get_image", image_request(dev, gpu=False), there)
    assert one(preflight.images, dev, aws).state == "ok"


def test_an_image_that_the_region_lacks(aws) -> None:
    settings = settings_with(endpoints=[{"instance_type": "ml.g5.2xlarge"}])
    there = {"images": [{"registryId": REGISTRY}]}
    aws.answers("ecr", "batch_get_image", image_request(settings, gpu=False), there)
    aws.answers("ecr", "batch_get_image", image_request(settings, gpu=True), {"images": []})
    cpu, gpu = run(preflight.images, settings, aws)
    assert (cpu.state, gpu.state) == ("ok", "failed")
    assert "jumpstart.lock.json" in gpu.remedy


def quota(aws: Aws, defaults: dict[str, float], granted: dict[str, float]) -> None:
    for operation, values in (
        ("list_aws_default_service_quotas", defaults),
        ("list_service_quotas", granted),
    ):
        quotas = [{"QuotaName": name, "Value": value} for name, value in values.items()]
        aws.answers("service-quotas", operation, {"ServiceCode": "sagemaker"}, {"Quotas": quotas})


ENDPOINT_QUOTA = "ml.c6i.xlarge for endpoint usage"
ENOUGH = {
    ENDPOINT_QUOTA: 4.0,
    "ml.c6i.xlarge for training job usage": 1.0,
    "ml.c6i.xlarge for transform job usage": 1.0,
}


def test_quotas_suffice(dev, aws) -> None:
    quota(aws, ENOUGH, {})
    assert [f.state for f in run(preflight.quotas, dev, aws)] == ["ok"] * 3


def test_what_was_granted_counts_more_than_the_default(dev, aws) -> None:
    quota(aws, {**ENOUGH, ENDPOINT_QUOTA: 0.0}, {ENDPOINT_QUOTA: 2.0})
    assert run(preflight.quotas, dev, aws)[0].state == "ok"


def test_an_update_needs_both_fleets(dev, aws) -> None:
    quota(aws, {**ENOUGH, ENDPOINT_QUOTA: 1.0}, {})
    found = run(preflight.quotas, dev, aws)[0]
    assert found.state == "failed"
    assert found.found.startswith("1 allowed, 2 needed")
    assert "Service Quotas" in found.remedy


def test_scaling_needs_its_most_instances_twice(aws) -> None:
    scaled = {"instance_type": "ml.c6i.xlarge", "scaling": {"max_instances": 3}}
    quota(aws, ENOUGH, {})
    found = run(preflight.quotas, settings_with(endpoints=[scaled]), aws)[0]
    assert (found.state, "6 needed" in found.found) == ("failed", True)


def test_a_type_that_the_region_does_not_offer(dev, aws) -> None:
    quota(aws, {k: v for k, v in ENOUGH.items() if k != ENDPOINT_QUOTA}, {})
    found = run(preflight.quotas, dev, aws)[0]
    assert (found.state, found.subject) == ("failed", ENDPOINT_QUOTA)
    assert "does not offer" in found.found


def own_resources(aws: Aws, *ids: str, stack: str = MODEL) -> None:
    summaries = [
        {
            "LogicalResourceId": f"R{n}",
            "PhysicalResourceId": physical_id,
            "ResourceType": "AWS::SageMaker::Endpoint",
            "LastUpdatedTimestamp": "2026-01-01T00:00:00Z",
            "ResourceStatus": "CREATE_COMPLETE",
        }
        for n, physical_id in enumerate(ids)
    ]
    answer = {"StackResourceSummaries": summaries}
    aws.answers("cloudformation", "list_stack_resources", {"StackName": stack}, answer)


def existing_endpoint(aws: Aws) -> str:
    arn = f"arn:aws:sagemaker:us-east-1:111122223333:endpoint/{ENDPOINT}"
    answer = {
        "EndpointName": ENDPOINT,
        "EndpointArn": arn,
        "EndpointStatus": "InService",
        "CreationTime": "2026-01-01T00:00:00Z",
        "LastModifiedTime": "2026-01-01T00:00:00Z",
    }
    aws.answers("sagemaker", "describe_endpoint", {"EndpointName": ENDPOINT}, answer)
    return arn


def test_an_endpoints_name_is_free(dev, aws) -> None:
    aws.refuses("cloudformation", "list_stack_resources", "ValidationError", "does not exist")
    aws.refuses("sagemaker", "describe_endpoint", "ValidationException", "Could not find it")
    assert one(preflight.endpoint_names, dev, aws).state == "ok"


def test_an_endpoint_of_the_stage_itself_is_fine(dev, aws) -> None:
    own_resources(aws, existing_endpoint(aws))
    assert one(preflight.endpoint_names, dev, aws).state == "ok"


def test_somebody_elses_endpoint_is_in_the_way(dev, aws) -> None:
    existing_endpoint(aws)
    own_resources(aws, "something-else")
    found = one(preflight.endpoint_names, dev, aws)
    assert found.state == "failed"
    assert f"delete-endpoint --endpoint-name {ENDPOINT}" in found.remedy


PINNED = {"s3_uri": "s3://somebucket/faq.csv", "version_id": "v7", "sha256": "0" * 64}


def test_a_pinned_corpus_is_readable(aws) -> None:
    request = {"Bucket": "somebucket", "Key": "faq.csv", "VersionId": "v7"}
    aws.answers("s3", "head_object", request, {"ContentLength": 12})
    assert one(preflight.corpus, settings_with(corpus=PINNED), aws).state == "ok"


def test_a_pinned_corpus_is_gone(aws) -> None:
    aws.refuses("s3", "head_object", "404")
    found = one(preflight.corpus, settings_with(corpus=PINNED), aws)
    assert (found.state, "pin-corpus" in found.remedy) == ("failed", True)


def listing(aws: Aws, settings: Settings, *names: str) -> None:
    prefix = settings.jumpstart_model.weights_key
    request = {"Bucket": "jumpstart-cache-prod-us-east-1", "Prefix": prefix}
    contents = {"Contents": [{"Key": prefix + name} for name in names]} if names else {}
    aws.answers("s3", "list_objects_v2", request, contents)


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_the_weights_are_there(dev, aws, file) -> None:
    listing(aws, dev, "config.json", file)
    assert one(preflight.weights, dev, aws).state == "ok"


@pytest.mark.parametrize("names", [(), ("config.json",), ("model.safetensors",)])
def test_weights_are_missing(dev, aws, names) -> None:
    listing(aws, dev, *names)
    assert one(preflight.weights, dev, aws).state == "failed"


@pytest.mark.parametrize(("unreserved", "state"), [(150, "ok"), (149, "failed"), (10, "failed")])
def test_reserved_concurrency_leaves_a_hundred(aws, unreserved, state) -> None:
    limits = {"UnreservedConcurrentExecutions": unreserved}
    aws.answers("lambda", "get_account_settings", {}, {"AccountLimit": limits})
    aws.refuses("cloudformation", "list_stack_resources", "ValidationError", "does not exist")
    settings = settings_with(api={"reserved_concurrency": 50})
    assert one(preflight.concurrency, settings, aws).state == state


def test_a_deployed_front_door_has_its_share_already(aws) -> None:
    limits = {"UnreservedConcurrentExecutions": 100}
    aws.answers("lambda", "get_account_settings", {}, {"AccountLimit": limits})
    own_resources(aws, "function", stack="FaqSearch-dev-FrontDoor")
    settings = settings_with(api={"reserved_concurrency": 50})
    assert one(preflight.concurrency, settings, aws).state == "ok"


def test_nothing_reserved_asks_nothing(dev, aws) -> None:
    assert run(preflight.concurrency, dev, aws) == []


@pytest.mark.parametrize(
    ("states", "status", "last"),
    [
        (("ok", "ok"), 0, "Ready to deploy."),
        (("ok", "unknown"), 0, "1 could not be checked"),
        (("failed", "unknown", "failed"), 1, "2 to fix"),
    ],
)
def test_the_report_ends_with_a_verdict(capsys, states, status, last) -> None:
    findings = [
        Finding(f"s{n}", state, "found", "Do this." if state == "failed" else "")
        for n, state in enumerate(states)
    ]
    assert report(findings, preflight.VERDICTS) == status
    printed = capsys.readouterr().out
    assert last in printed.splitlines()[-1]
    assert printed.count("Do this.") == states.count("failed")


VPC, SUBNETS = "vpc-0123456789abcdef0", ["subnet-0123456789abcdef0", "subnet-0123456789abcdef1"]


def prefix_list(aws: Aws, *ids: str) -> None:
    name = {"Name": "prefix-list-name", "Values": ["com.amazonaws.us-east-1.s3"]}
    listed = {"PrefixLists": [{"PrefixListId": each} for each in ids]}
    aws.answers("ec2", "describe_prefix_lists", {"Filters": [name]}, listed)


def test_a_stage_in_no_vpc_asks_nothing_about_one(dev, aws) -> None:
    assert run(preflight.network, dev, aws) == []


@pytest.mark.parametrize(
    ("there", "state"), [(["pl-63a5400a"], "ok"), (["pl-00000000"], "failed"), ([], "failed")]
)
def test_s3s_prefix_list(aws, there, state) -> None:
    prefix_list(aws, *there)
    assert one(preflight.network, load_settings("private"), aws).state == state


@pytest.mark.parametrize(
    ("dns", "zones", "endpoints", "failed"),
    [
        (True, "ab", ["ssm", "s3"], []),
        (False, "ab", ["ssm", "s3"], ["enableDnsHostnames"]),
        (True, "aa", ["ssm", "s3"], ["subnets"]),
        (True, "ab", ["s3"], ["endpoints"]),
    ],
)
def test_an_existing_vpc(aws, dns, zones, endpoints, failed) -> None:
    existing = {
        "vpc_id": VPC,
        "subnet_ids": SUBNETS,
        "endpoints": ["ssm", "s3"],
        "endpoint_security_group_id": "sg-0123456789abcdef0",
    }
    settings = settings_with(
        network={"mode": "private", "s3_prefix_list_id": "pl-63a5400a", "existing": existing}
    )
    prefix_list(aws, "pl-63a5400a")
    for attribute, value in (("DnsSupport", True), ("DnsHostnames", dns)):
        asked = {"VpcId": VPC, "Attribute": f"enable{attribute}"}
        aws.answers(
            "ec2", "describe_vpc_attribute", asked, {f"Enable{attribute}": {"Value": value}}
        )
    subnets = [{"VpcId": VPC, "AvailabilityZone": f"us-east-1{zone}"} for zone in zones]
    aws.answers("ec2", "describe_subnets", {"SubnetIds": SUBNETS}, {"Subnets": subnets})
    aws.answers(
        "ec2",
        "describe_vpc_endpoints",
        {"Filters": [{"Name": "vpc-id", "Values": [VPC]}]},
        {"VpcEndpoints": [{"ServiceName": f"com.amazonaws.us-east-1.{e}"} for e in endpoints]},
    )
    found = run(preflight.network, settings, aws)
    assert [f.subject for f in found if f.state != "ok"] == failed
