"""Checks a request as AWS does: against all constraints in botocore's models.

botocore itself only checks types and required members. Its models also contain patterns,
enumerations, lengths and ranges, which the service would check in the middle of a deployment.
"""

from __future__ import annotations

from typing import Any

from botocore.validate import ParamValidator

from local_aws.service_models import find_violations, service_model


def check_request(service: str, operation: str, parameters: dict[str, Any]) -> list[str]:
    """Every problem of a request, in words; empty if the model allows it.

    Args:
        service: as boto3 names it, e.g. "sagemaker".
        operation: as the API names it, e.g. "CreateTrainingJob".
        parameters: as boto3 takes them.
    """
    shape = service_model(service).operation_model(operation).input_shape
    if shape is None:
        return [f"{operation} takes no parameters"] if parameters else []
    report = ParamValidator().validate(parameters, shape)
    if report.has_errors():
        return [report.generate_report()]
    return find_violations(service, operation, parameters)
