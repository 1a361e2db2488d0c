"""Runs Lambda functions as processes, behind the Lambda Runtime API.

The local AWS starts `LambdaRuntime`, which uses `packages` (unpacked code and layers), `process`
(one execution environment), `pool` (those of one function) and `logs`.
"""

from local_aws.lambda_runtime.errors import (
    InvocationAbandonedError,
    LambdaError,
    RequestTooLargeError,
    TooManyRequestsError,
    UnusablePackageError,
)
from local_aws.lambda_runtime.runtime import LambdaResult, LambdaRuntime

__all__ = [
    "InvocationAbandonedError",
    "LambdaError",
    "LambdaResult",
    "LambdaRuntime",
    "RequestTooLargeError",
    "TooManyRequestsError",
    "UnusablePackageError",
]
