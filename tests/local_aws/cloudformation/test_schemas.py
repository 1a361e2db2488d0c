"""Properties that no resource type has, or of another type, are refused as AWS refuses them."""

from __future__ import annotations

import pytest

from local_aws.cloudformation.schemas import violations
from tests.support.cloudformation import named

VARIANT = {"VariantName": "a", "InitialVariantWeight": 1}


@pytest.mark.parametrize(
    ("resource_type", "properties", "found"),
    [
        ("AWS::S3::Bucket", {"Foo": 1}, "#: extraneous key [Foo] is not permitted"),
        ("AWS::S3::Bucket", {"Arn": "a"}, "#: extraneous key [Arn] is not permitted"),
        (
            "AWS::S3::Bucket",
            {"VersioningConfiguration": {"Status": "Enabled", "More": 1}},
            "#/VersioningConfiguration: extraneous key [More] is not permitted",
        ),
        ("AWS::S3::Bucket", {"Tags": "a"}, "#/Tags: expected type: JSONArray, found: String"),
        (
            "AWS::SageMaker::EndpointConfig",
            {"ProductionVariants": [{**VARIANT, "InitialVariantWeight": "much"}]},
            "#/ProductionVariants/0/InitialVariantWeight: expected type: Number, found: String",
        ),
        (
            "AWS::SageMaker::EndpointConfig",
            {},
            "#: required key [ProductionVariants] not found",
        ),
    ],
)
def test_in_cloudformations_words(resource_type, properties, found):
    assert violations(resource_type, properties) == [found]


@pytest.mark.parametrize(
    ("resource_type", "properties"),
    [
        # Templates and parameters often give scalars as text.
        ("AWS::IAM::Role", {"AssumeRolePolicyDocument": {}, "MaxSessionDuration": "3600"}),
        ("AWS::S3::Bucket", {"VersioningConfiguration": {"Status": "Enabled"}, "Tags": []}),
        ("AWS::SNS::Topic", {"FifoTopic": "true", "DisplayName": 7}),
    ],
)
def test_what_cloudformation_takes(resource_type, properties):
    assert violations(resource_type, properties) == []


@pytest.mark.parametrize("existing", [False, True])
def test_the_provider_never_sees_them(cloudformation, provider, existing):
    if existing:
        cloudformation.deploy({"P": named("p")})
        provider.forget()
    status = cloudformation.deploy({"P": named("p", Valeu="b")})
    assert status == ("UPDATE_ROLLBACK_COMPLETE" if existing else "ROLLBACK_COMPLETE")
    assert cloudformation.reason("P") == (
        "Properties validation failed for resource P with message:\n"
        "#: extraneous key [Valeu] is not permitted"
    )
    # Only the rollback touches what exists.
    assert provider.order("create") == []
