"""Runs Lambda functions as processes, behind the Lambda Runtime API.

`LambdaRuntime` is the part the local AWS starts. Below it: `packages` (unpacked code and
layers), `process` (one execution environment), `pool` (those of one function), `logs`.
"""

from local_aws.lambda_runtime.errors import (
    InvocationAbandoned,
    LambdaError,
    RequestTooLarge,
    TooManyRequests,
    UnusablePackage,
)
from local_aws.lambda_runtime.runtime import LambdaResult, LambdaRuntime

__all__ = [
    "InvocationAbandoned",
    "LambdaError",
    "LambdaResult",
    "LambdaRuntime",
    "RequestTooLarge",
    "TooManyRequests",
    "UnusablePackage",
]
