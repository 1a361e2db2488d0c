"""The one place that touches moto's internals, a file for each service.

moto is pinned exactly. Each function here is small and has a contract test
(tests/unit/test_moto_adapter_*.py) that fails when a new moto no longer means the same.
"""

from local_aws.moto_adapter import cloudwatch as cloudwatch
from local_aws.moto_adapter import iam as iam
from local_aws.moto_adapter import s3_large_objects as s3_large_objects
from local_aws.moto_adapter.api_gateway import (
    DeployedStage,
    find_deployed_stage,
    usage_plans_of_key,
)
from local_aws.moto_adapter.credentials import AccessKey, find_access_key
from local_aws.moto_adapter.events import find_event_targets
from local_aws.moto_adapter.lambda_functions import (
    LambdaAnswer,
    LambdaFunction,
    LambdaLayer,
    LambdaRouter,
    add_lambda_router,
    find_lambda_function,
    remove_lambda_router,
)
from local_aws.moto_adapter.logs import put_log_lines
from local_aws.moto_adapter.s3 import (
    CreatedObject,
    ObjectListener,
    add_object_listener,
    remove_object_listener,
)
from local_aws.moto_adapter.server import RequestHandler, create_wsgi_app
from local_aws.moto_adapter.step_functions import (
    EndedExecution,
    ExecutionHost,
    add_execution_host,
    remove_execution_host,
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
    "add_execution_host",
    "add_lambda_router",
    "add_object_listener",
    "create_wsgi_app",
    "find_access_key",
    "find_deployed_stage",
    "find_event_targets",
    "find_lambda_function",
    "put_log_lines",
    "remove_execution_host",
    "remove_lambda_router",
    "remove_object_listener",
    "usage_plans_of_key",
]
