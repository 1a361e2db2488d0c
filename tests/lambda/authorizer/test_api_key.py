"""The authorizer that hands API keys on to the usage plan."""

from __future__ import annotations

import pytest

from authorizer.api_key import handler

ARN = "arn:aws:execute-api:eu-west-1:123456789012:abc123/v1/POST/search"


def request(**headers):
    return {
        "type": "REQUEST",
        "methodArn": ARN,
        "headers": {k.replace("_", "-"): v for k, v in headers.items()} or None,
    }


@pytest.mark.parametrize(
    "headers",
    [
        {"x_api_key": "k1"},
        {"X_Api_Key": "k1"},
        {"Authorization": "Bearer k1"},
        {"authorization": "bearer  k1 "},
        {"X_API_KEY": "k1", "Authorization": "Bearer another"},
        {"x_api_key": "", "Authorization": "Bearer k1"},
    ],
)
def test_the_key_goes_to_the_usage_plan(headers):
    assert handler(request(**headers), None) == {
        "principalId": "api-key",
        "policyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Action": "execute-api:Invoke",
                    "Effect": "Allow",
                    "Resource": "arn:aws:execute-api:eu-west-1:123456789012:abc123/v1/*",
                }
            ],
        },
        "usageIdentifierKey": "k1",
    }


@pytest.mark.parametrize(
    "headers", [{}, {"x_api_key": ""}, {"Authorization": "Basic k1"}, {"Authorization": "Bearer "}]
)
def test_without_a_key_nobody_is_authorised(headers):
    with pytest.raises(Exception, match=r"^Unauthorized$"):  # what API Gateway looks for
        handler(request(**headers), None)
