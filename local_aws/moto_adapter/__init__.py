"""The only package that touches moto's internals, with a module for each service.

moto is pinned exactly. Each function is small and has a contract test in
tests/local_aws/moto_adapter that fails when a new moto behaves differently.
"""

from local_aws.moto_adapter import left_out as left_out  # before all others
from local_aws.moto_adapter.api_gateway import (
    DeployedStage as DeployedStage,
)
from local_aws.moto_adapter.api_gateway import (
    find_api_log_role as find_api_log_role,
)
from local_aws.moto_adapter.api_gateway import (
    find_deployed_stage as find_deployed_stage,
)
from local_aws.moto_adapter.api_gateway import (
    usage_plans_of_key as usage_plans_of_key,
)
from local_aws.moto_adapter.iam import (
    CallerIdentities as CallerIdentities,
)
from local_aws.moto_adapter.iam import (
    caller_identities as caller_identities,
)
from local_aws.moto_adapter.iam_policies import (
    IdentityPolicies as IdentityPolicies,
)
from local_aws.moto_adapter.iam_policies import (
    bucket_region as bucket_region,
)
from local_aws.moto_adapter.iam_policies import (
    default_key_of_bucket as default_key_of_bucket,
)
from local_aws.moto_adapter.iam_policies import (
    find_key_owner as find_key_owner,
)
from local_aws.moto_adapter.iam_policies import (
    has_object as has_object,
)
from local_aws.moto_adapter.iam_policies import (
    key_of_object as key_of_object,
)
from local_aws.moto_adapter.iam_policies import (
    kms_key_arn as kms_key_arn,
)
from local_aws.moto_adapter.iam_policies import (
    kms_key_state as kms_key_state,
)
from local_aws.moto_adapter.iam_policies import (
    resource_policy as resource_policy,
)
from local_aws.moto_adapter.iam_policies import (
    role_arn as role_arn,
)
from local_aws.moto_adapter.iam_policies import (
    role_policies as role_policies,
)
from local_aws.moto_adapter.iam_policies import (
    user_policies as user_policies,
)
from local_aws.moto_adapter.lambda_functions import (
    LambdaAnswer as LambdaAnswer,
)
from local_aws.moto_adapter.lambda_functions import (
    LambdaFunction as LambdaFunction,
)
from local_aws.moto_adapter.lambda_functions import (
    LambdaLayer as LambdaLayer,
)
from local_aws.moto_adapter.lambda_functions import (
    LambdaRouter as LambdaRouter,
)
from local_aws.moto_adapter.lambda_functions import (
    find_lambda_function as find_lambda_function,
)
from local_aws.moto_adapter.lambda_functions import (
    lambda_routers as lambda_routers,
)
from local_aws.moto_adapter.monitoring import (
    find_event_targets as find_event_targets,
)
from local_aws.moto_adapter.monitoring import (
    key_of_log_group as key_of_log_group,
)
from local_aws.moto_adapter.monitoring import (
    put_log_lines as put_log_lines,
)
from local_aws.moto_adapter.monitoring import (
    set_key_of_log_group as set_key_of_log_group,
)
from local_aws.moto_adapter.requests import (
    parse_request as parse_request,
)
from local_aws.moto_adapter.s3 import (
    CorsRule as CorsRule,
)
from local_aws.moto_adapter.s3 import (
    CreatedObject as CreatedObject,
)
from local_aws.moto_adapter.s3 import (
    ObjectListener as ObjectListener,
)
from local_aws.moto_adapter.s3 import (
    cors_rules as cors_rules,
)
from local_aws.moto_adapter.s3 import (
    object_listeners as object_listeners,
)
from local_aws.moto_adapter.server import (
    RequestHandler as RequestHandler,
)
from local_aws.moto_adapter.server import (
    create_wsgi_app as create_wsgi_app,
)
from local_aws.moto_adapter.server import (
    parse_query as parse_query,
)
from local_aws.moto_adapter.server import (
    render_query as render_query,
)
from local_aws.moto_adapter.step_functions import (
    EndedExecution as EndedExecution,
)
from local_aws.moto_adapter.step_functions import (
    ExecutionHost as ExecutionHost,
)
from local_aws.moto_adapter.step_functions import (
    execution_hosts as execution_hosts,
)
