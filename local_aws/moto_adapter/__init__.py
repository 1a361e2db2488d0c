"""The only package that touches moto's internals, with a module for each service.

moto is pinned exactly. Each function is small and has a contract test in
tests/local_aws/moto_adapter that fails when a new moto behaves differently.
"""

from local_aws.moto_adapter.api_gateway import (
    DeployedStage,
    find_deployed_stage,
    usage_plans_of_key,
)
from local_aws.moto_adapter.iam import AccessKey, find_access_key
from local_aws.moto_adapter.lambda_functions import (
    LambdaAnswer,
    LambdaFunction,
    LambdaLayer,
    LambdaRouter,
    find_lambda_function,
    lambda_routers,
)
from local_aws.moto_adapter.monitoring import find_event_targets, put_log_lines
from local_aws.moto_adapter.s3 import (
    CreatedObject,
    ObjectListener,
    object_listeners,
)
from local_aws.moto_adapter.server import RequestHandler, create_wsgi_app
from local_aws.moto_adapter.step_functions import (
    EndedExecution,
    ExecutionHost,
    execution_hosts,
)

__all__ = [
    "AccessKey",
    "CreatedObject",
    "DeployedStage",
    "EndedExecution",
    "ExecutionHost",
    "LambdaAnswer",
    "LambdaFunction",
    "LambdaLayer",
    "LambdaRouter",
    "ObjectListener",
    "RequestHandler",
    "create_wsgi_app",
    "execution_hosts",
    "find_access_key",
    "find_deployed_stage",
    "find_event_targets",
    "find_lambda_function",
    "lambda_routers",
    "object_listeners",
    "put_log_lines",
    "usage_plans_of_key",
]
