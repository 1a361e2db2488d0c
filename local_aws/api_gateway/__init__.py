"""The data plane of API Gateway's REST APIs: a deployed API's answers to its callers.

The order of checks is AWS's as far as documented: route, resource policy with IAM signature or
Lambda authorizer, API key and usage plan, throttling, integration. Points that the documentation
leaves open, and that were not compared with a live account, are marked "unverified" where they are
decided.

There are no Cognito authorizers, VPC links, caches (of authorizers neither) or
canaries; integrations are AWS_PROXY to Lambda functions and MOCK.
"""

from local_aws.api_gateway.data_plane import RestApis

__all__ = ["RestApis"]
