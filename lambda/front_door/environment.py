"""What the front door knows of its stage: settings of its deployment, and parameters in SSM."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Annotated, Final, Generic, TypeVar

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from pydantic import BaseModel, ConfigDict, Field, Json

from contract.deployment import Deployment
from contract.metrics import NAMESPACE, SWITCHED_OFF
from contract.switch import OFF, ON
from contract.vector_index import VectorIndex
from front_door.answers import HealthReport, HourlyPrice
from front_door.aws import AWS_ERRORS, Aws
from rest.app import CorsOrigins
from rest.errors import ApiError

T = TypeVar("T")

_DEPLOYMENT_SECONDS: Final = 30
_SWITCH_SECONDS: Final = 10

# A service would become a dimension; the only one is the stage, which the handler sets.
metrics = Metrics(namespace=NAMESPACE, service="")
logger = Logger(child=True)


class Endpoint(BaseModel):
    """One deployed SageMaker endpoint and the instance type callers know it by."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    instance_type: str = Field(min_length=1)
    endpoint_name: str = Field(min_length=1)
    min_instances: int = Field(default=1, ge=1)
    max_instances: int = Field(default=1, ge=1)
    hourly_price: HourlyPrice | None = None
    max_tokens: int | None = Field(
        default=None, ge=1, description="what it can encode within the time budget"
    )


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
    index_parameter: str | None = Field(
        alias="INDEX_PARAMETER",
        default=None,
        min_length=1,
        description="names the index of S3 Vectors that POST /search asks; without, the endpoints",
    )
    min_score: float = Field(
        alias="MIN_SCORE", ge=-1, le=1, description="hits that score less are left out"
    )
    margin: float = Field(
        alias="MARGIN", ge=0, le=1, description="what the best hit must be ahead to be an answer"
    )
    unanswered_below: float = Field(
        alias="UNANSWERED_BELOW",
        ge=-1,
        le=1,
        description="a question counts as unanswered if its best hit scores less",
    )
    lexical: bool = Field(alias="LEXICAL", description="whether shared words count")
    max_seq_length: int = Field(
        alias="MAX_SEQ_LENGTH",
        default=512,
        ge=1,
        description="tokens that the model reads of a text",
    )
    unanswered_log_group: str | None = Field(
        alias="UNANSWERED_LOG_GROUP",
        default=None,
        min_length=1,
        description="where unanswered questions are kept; by default they are not",
    )
    cors_origins: CorsOrigins
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


class StageParameters:
    """The stage's parameters, each read when it is needed and then kept for some seconds.

    They are read at run time because a new corpus must not change this function. While SSM cannot
    be read, the last values stay in use; before the first, the switch counts as on, since an
    endpoint that is missing is then merely unavailable.
    """

    def __init__(
        self, environment: Environment, aws: Aws, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stage = environment.stage
        self._deployment: _Parameter[Deployment | None] = _Parameter(
            aws, environment.deployment_parameter, _DEPLOYMENT_SECONDS, None, clock
        )
        self._index: _Parameter[VectorIndex | None] | None = None
        if environment.index_parameter:
            self._index = _Parameter(
                aws, environment.index_parameter, _DEPLOYMENT_SECONDS, None, clock
            )
        self._switch = _Parameter(aws, environment.serving_parameter, _SWITCH_SECONDS, ON, clock)

    def deployment(self) -> Deployment:
        """What is deployed; ApiError (model_unavailable) if it has never been readable."""
        deployment = self._deployment.get(Deployment.from_json)
        if deployment is None:
            raise ApiError(
                "model_unavailable", "What is deployed cannot be read yet. Try again in a moment."
            )
        return deployment

    def index(self) -> VectorIndex | None:
        """The index that holds the corpus; None if the endpoints do.

        Raises ApiError (index_unavailable) as long as none is complete.
        """
        if self._index is None:
            return None
        index = self._index.get(VectorIndex.from_json)
        if index is None:
            raise ApiError(
                "index_unavailable",
                "The corpus's index is not loaded yet, or cannot be read. "
                f"`make status STAGE={self._stage}` shows how far it is.",
            )
        return index

    def is_off(self) -> bool:
        """Whether somebody, or the schedule, has switched the endpoints off."""
        return self._switch.get(str) == OFF

    def refusal(self, report: HealthReport | None = None) -> ApiError:
        """The error while the endpoints are off.

        It is counted, so that the alarm for 5xx can tell what is meant from what is broken.
        """
        metrics.add_metric(SWITCHED_OFF, MetricUnit.Count, 1)
        return ApiError(
            "serving_off",
            f"The endpoints of stage {self._stage} are switched off, so that they cost nothing. "
            f"`make on STAGE={self._stage}` switches them on, which takes some minutes. "
            "Batches still run.",
            details=report,
        )


class _Parameter(Generic[T]):
    """One parameter, read at most every `seconds` once it has a value."""

    def __init__(
        self, aws: Aws, name: str, seconds: float, value: T, clock: Callable[[], float]
    ) -> None:
        self._aws = aws
        self._name = name
        self._seconds = seconds
        self._value = value
        self._clock = clock
        # Not by the clock: a snapshot's may be another's.
        self._read_again = -math.inf

    def get(self, parse: Callable[[str], T]) -> T:
        if self._value is None or self._clock() >= self._read_again:
            self._read_again = self._clock() + self._seconds
            try:
                self._value = parse(self._aws.parameter(self._name))
            except AWS_ERRORS:
                logger.exception("parameter not readable", parameter=self._name)
        return self._value
