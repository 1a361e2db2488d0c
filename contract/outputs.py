"""Outputs of the stacks, by which commands and people find what was deployed."""

from __future__ import annotations

from typing import Final

# Foundation
ARTIFACTS_BUCKET: Final = "ArtifactsBucketName"
BATCH_BUCKET: Final = "BatchBucketName"
TOPIC_ARN: Final = "TopicArn"

# Index
INDEX_WORKFLOW_ARN: Final = "IndexWorkflowArn"

# FrontDoor
API_URL: Final = "ApiUrl"
CONSOLE_URL: Final = "ConsoleUrl"
"""Absent without `api.console`."""
API_AUTH: Final = "ApiAuth"
"""`api_key`, `iam` or `jwt`."""
API_KEY_ID: Final = "ApiKeyId"
"""The newest key; absent where callers have none."""
API_KEY_IDS: Final = "ApiKeyIds"
"""A JSON object of ids by the key's name; absent where callers have none."""

# Operations
DASHBOARD_NAME: Final = "DashboardName"
DIFF_ROLE_ARN: Final = "DiffRoleArn"
DEPLOY_ROLE_ARN: Final = "DeployRoleArn"
