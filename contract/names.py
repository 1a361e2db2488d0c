"""Names of what a stage deploys, for those who find it by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

APP_NAME: Final = "faq-search"
API_STAGE: Final = "v1"
"""The stage of the REST API, the first part of every path."""

VARIANT: Final = "primary"
"""The one production variant of every endpoint."""

StackPart = Literal["Foundation", "Model", "Batch", "Index", "FrontDoor", "Operations"]
STACKS: Final[tuple[StackPart, ...]] = get_args(StackPart)
"""In the order in which they are deployed; `Index` only with `search.engine = "s3_vectors"`."""


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one stage."""

    stage: str

    @property
    def prefix(self) -> str:
        """`faq-search-<stage>`: the REST API, the dashboard, and what every other name begins with.

        Training and transform jobs are named `<prefix>-<hash>`.
        """
        return f"{APP_NAME}-{self.stage}"

    def stack(self, part: StackPart | Literal["*"]) -> str:
        """`Model` -> `FaqSearch-<stage>-Model`; `*` makes a pattern for all of them."""
        return f"FaqSearch-{self.stage}-{part}"

    def endpoint(self, instance_type: str) -> str:
        """`ml.g5.2xlarge` -> `faq-search-<stage>-g5-2xlarge`: SageMaker allows no dots."""
        return f"{self.prefix}-{instance_type.removeprefix('ml.').replace('.', '-')}"

    @property
    def front_door_function(self) -> str:
        """The Lambda function that answers searches."""
        return f"{self.prefix}-front-door"

    @property
    def bake_workflow(self) -> str:
        """The state machine that bakes."""
        return f"{self.prefix}-bake"

    @property
    def batch_workflow(self) -> str:
        """The state machine that runs batches."""
        return f"{self.prefix}-batch"

    @property
    def index_workflow(self) -> str:
        """The state machine that loads an index of S3 Vectors."""
        return f"{self.prefix}-index"

    @property
    def vector_bucket(self) -> str:
        """The vector bucket of S3 Vectors: such names are an account's own in each region."""
        return self.prefix

    @property
    def switch_workflow(self) -> str:
        """The state machine that switches the endpoints by schedule."""
        return f"{self.prefix}-switch"

    @property
    def unanswered_log_group(self) -> str:
        """The log group of the questions that got no answer, where a stage keeps them."""
        return f"/{APP_NAME}/{self.stage}/unanswered"

    @property
    def waf_log_group(self) -> str:
        """The log group of the web ACL; AWS WAF requires the beginning."""
        return f"aws-waf-logs-{self.prefix}"

    @property
    def parameter_prefix(self) -> str:
        """What the names of the stage's SSM parameters begin with, without the last slash."""
        return f"/{APP_NAME}/{self.stage}"

    @property
    def deployment_parameter(self) -> str:
        """The SSM parameter that says what is deployed; see contract.deployment."""
        return f"{self.parameter_prefix}/deployment"

    @property
    def index_parameter(self) -> str:
        """The SSM parameter that names the index to search; see contract.vector_index."""
        return f"{self.parameter_prefix}/index"

    @property
    def serving_parameter(self) -> str:
        """The SSM parameter that says whether there are endpoints; see contract.switch."""
        return f"{self.parameter_prefix}/serving"

    def model_name_parameter(self, *, gpu: bool) -> str:
        """The SSM parameter with the name of the SageMaker Model for one processor."""
        return f"{self.parameter_prefix}/model-name/{'gpu' if gpu else 'cpu'}"
