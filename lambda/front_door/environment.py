"""The settings that the front door gets from its deployment, and its metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from aws_lambda_powertools import Metrics
from pydantic import BaseModel, ConfigDict, Field, Json

from contract.metrics import NAMESPACE

# A service would become a dimension; the only one is the stage, which the handler sets.
metrics = Metrics(namespace=NAMESPACE, service="")


class Endpoint(BaseModel):
    """One deployed SageMaker endpoint and the instance type callers know it by."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    instance_type: str = Field(min_length=1)
    endpoint_name: str = Field(min_length=1)


class Environment(BaseModel):
    """The function's environment variables.

    Wrong or missing ones fail the cold start, so that a bad deployment shows at once and not when
    a caller first needs the variable.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    stage: str = Field(alias="APP_STAGE", min_length=1)
    endpoints: Json[Annotated[tuple[Endpoint, ...], Field(min_length=1)]] = Field(
        alias="ENDPOINTS", description="JSON list, in order of preference"
    )
    deployment_parameter: str = Field(alias="DEPLOYMENT_PARAMETER", min_length=1)
    serving_parameter: str = Field(alias="SERVING_PARAMETER", min_length=1)
    min_score: float = Field(
        alias="MIN_SCORE",
        ge=-1,
        le=1,
        description="a question counts as unanswered if its best hit scores less",
    )
    time_budget_seconds: float = Field(
        # API Gateway gives up after 29 seconds.
        alias="TIME_BUDGET_SECONDS",
        default=26.0,
        gt=1,
        le=28,
    )

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> Environment:
        """Checks `variables`, usually `os.environ`; pydantic's ValidationError lists all errors."""
        return cls.model_validate(dict(variables))
