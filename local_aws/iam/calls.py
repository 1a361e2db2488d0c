"""Which operation of which service a request calls, and with what parameters."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import orjson

from local_aws import moto_adapter
from local_aws.iam.signature import target_of
from local_aws.service_models import service_model

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

# botocore's names of services by those that requests are signed for, where they differ.
_SERVICES = {
    "monitoring": "cloudwatch",
    "servicequotas": "service-quotas",
    "states": "stepfunctions",
    "tagging": "resourcegroupstaggingapi",
}
_INVOCATION = re.compile(r"/endpoints/[^/]+/(invocations|async-invocations)")


@dataclass(frozen=True)
class Call:
    """A request in the words of a service's API.

    Args:
        service: botocore's name of it.
        operation: "" if the service has none for this request.
        method: Of HTTP.
        path: Percent-encoded as sent.
    """

    service: str
    region: str
    operation: str
    parameters: Mapping[str, Any]
    method: str = "POST"
    path: str = "/"


def read_call(environ: WSGIEnvironment, signed_service: str, region: str) -> Call:
    """The call that a request makes.

    Args:
        signed_service: The service it is signed for.

    Raises:
        json.JSONDecodeError, RecursionError, UnicodeDecodeError, ExpatError: The body cannot be
            parsed.
    """
    service = _SERVICES.get(signed_service, signed_service)
    if service == "sagemaker" and _INVOCATION.match(environ.get("PATH_INFO", "")):
        service = "sagemaker-runtime"
    if "HTTP_X_AMZ_TARGET" in environ:
        # moto takes JSON that it cannot parse for an empty request.
        document = json.loads(environ["wsgi.input"].getvalue() or b"{}")
        if not isinstance(document, dict):
            raise json.JSONDecodeError("not an object", "", 0)
    if service == "s3vectors" and (read := _read_vectors_call(environ)):
        return Call(service, region, *read)
    operation, parameters = moto_adapter.parse_request(environ, service)
    if "CopySource" in parameters:
        # "/bucket/key?versionId=…", percent-encoded.
        source, _, version = str(parameters["CopySource"]).partition("?versionId=")
        parameters["CopySource"] = unquote(source).lstrip("/")
        parameters["CopySourceVersionId"] = version
    return Call(
        service,
        region,
        operation,
        parameters,
        environ["REQUEST_METHOD"],
        target_of(environ)[0],
    )


def _read_vectors_call(environ: WSGIEnvironment) -> tuple[str, dict[str, Any]] | None:
    """The operation and the parameters, which are the body, of a call of S3 Vectors.

    moto's parser would look at each number of each vector, and does not know QueryVectors. None
    for operations on tags, whose parameters are elsewhere too.
    """
    path, model = environ["PATH_INFO"], service_model("s3vectors")
    if path.startswith("/tags/"):
        return None
    operation = path.removeprefix("/")
    if environ["REQUEST_METHOD"] != "POST" or operation not in model.operation_names:
        return "", {}
    document = orjson.loads(environ["wsgi.input"].getvalue() or b"{}")
    if not isinstance(document, dict):
        raise json.JSONDecodeError("not an object", "", 0)
    if operation == "CreateIndex" and "vectorBucketArn" in document:
        # As every other operation names an index by ARN.
        document["indexArn"] = f"{document['vectorBucketArn']}/index/{document.get('indexName')}"
    return operation, document
