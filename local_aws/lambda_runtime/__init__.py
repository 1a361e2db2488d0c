"""Runs Lambda functions as processes, behind the Lambda Runtime API.

The local AWS starts `LambdaRuntime`, which uses `packages` (unpacked code and layers), `process`
(one execution environment), `pool` (those of one function) and `logs`.
"""

from local_aws.lambda_runtime.runtime import (
    InvocationAbandonedError,
    LambdaResult,
    LambdaRuntime,
)

__all__ = ["InvocationAbandonedError", "LambdaResult", "LambdaRuntime"]
