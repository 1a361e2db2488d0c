"""boto3's clients by the names of their services, as the type checker knows them."""

from __future__ import annotations

from typing import Any, Literal, Protocol, overload

from types_boto3_apigateway import APIGatewayClient
from types_boto3_cloudformation import CloudFormationClient
from types_boto3_ecr import ECRClient
from types_boto3_lambda import LambdaClient
from types_boto3_logs import CloudWatchLogsClient
from types_boto3_s3 import S3Client
from types_boto3_sagemaker import SageMakerClient
from types_boto3_sagemaker_runtime import SageMakerRuntimeClient
from types_boto3_service_quotas import ServiceQuotasClient
from types_boto3_ssm import SSMClient
from types_boto3_stepfunctions import SFNClient
from types_boto3_sts import STSClient

Region = str | None


class Clients(Protocol):
    """Gives the client of a service, in the stage's region or in another one."""

    @overload
    def __call__(
        self, service: Literal["apigateway"], region: Region = None
    ) -> APIGatewayClient: ...
    @overload
    def __call__(
        self, service: Literal["cloudformation"], region: Region = None
    ) -> CloudFormationClient: ...
    @overload
    def __call__(self, service: Literal["ecr"], region: Region = None) -> ECRClient: ...
    @overload
    def __call__(self, service: Literal["lambda"], region: Region = None) -> LambdaClient: ...
    @overload
    def __call__(self, service: Literal["logs"], region: Region = None) -> CloudWatchLogsClient: ...
    @overload
    def __call__(self, service: Literal["s3"], region: Region = None) -> S3Client: ...
    @overload
    def __call__(self, service: Literal["sagemaker"], region: Region = None) -> SageMakerClient: ...
    @overload
    def __call__(
        self, service: Literal["sagemaker-runtime"], region: Region = None
    ) -> SageMakerRuntimeClient: ...
    @overload
    def __call__(
        self, service: Literal["service-quotas"], region: Region = None
    ) -> ServiceQuotasClient: ...
    @overload
    def __call__(self, service: Literal["ssm"], region: Region = None) -> SSMClient: ...
    @overload
    def __call__(self, service: Literal["stepfunctions"], region: Region = None) -> SFNClient: ...
    @overload
    def __call__(self, service: Literal["sts"], region: Region = None) -> STSClient: ...
    @overload
    def __call__(self, service: str, region: Region = None) -> Any: ...
