"""What the front door asks of SageMaker and SSM."""

from __future__ import annotations

import json
import re

import pytest
from botocore.serialize import create_serializer

from tests.support.front_door import DEPLOYMENT, ENDPOINTS, ENVIRONMENT, Context, event, module
from tests.support.lambda_functions import clear_environment
from tests.support.model_validator import service_model


def operation_of(service, path, headers, body):
    """Name and parameters of the operation that botocore would send just so."""
    if service == "ssm":
        name, parameters = "GetParameter", json.loads(body)
    else:
        name = "InvokeEndpoint"
        parameters = {
            "EndpointName": re.fullmatch("/endpoints/([^/]+)/invocations", path)[1],
            "ContentType": headers["content-type"],
            "Accept": headers["accept"],
            "Body": body,
        }
    model = service_model(service)
    theirs = create_serializer(model.metadata["protocol"]).serialize_to_request(
        parameters, model.operation_model(name)
    )
    assert {key.lower(): value for key, value in theirs["headers"].items()} == headers
    assert (theirs["method"], theirs["url_path"]) == ("POST", path)
    if service == "ssm":
        assert json.loads(theirs["body"]) == json.loads(body)
    else:
        assert theirs["body"] == body
    return name, parameters


@pytest.fixture
def front_door(aws, monkeypatch):
    """The function, whose own requests are compared with botocore's and answered by `aws`."""
    clear_environment(monkeypatch, **ENVIRONMENT)
    calls = module("aws_calls")

    def post(self, path, headers, body, _):
        service = "ssm" if self.host.startswith("ssm.") else "sagemaker-runtime"
        answer = aws.answer(service, *operation_of(service, path, headers, body))
        found = answer["Body"].read() if "Body" in answer else json.dumps(answer, default=str)
        return found if isinstance(found, bytes) else found.encode()

    monkeypatch.setattr(calls.Service, "post", post)
    aws.parameters[ENVIRONMENT["DEPLOYMENT_PARAMETER"]] = json.dumps(DEPLOYMENT)
    aws.parameters[ENVIRONMENT["SERVING_PARAMETER"]] = "on"
    return module("handler")


@pytest.mark.parametrize(
    ("path", "body", "answer"),
    [
        ("/embed", {"texts": ["a", "ж"]}, {"embedding": [[0.1] * 384] * 2}),
        (
            "/nearest",
            {"corpus": ["a", "b"], "queries": ["a"], "top_k": 1},
            [[{"corpus_id": 0, "score": 0.9}]],
        ),
        (
            "/search",
            {"queries": ["a"], "top_k": 1},
            {
                "bake_id": "b",
                "results": [[{"id": "1", "question": None, "answer": "b", "score": 0.9}]],
            },
        ),
    ],
)
def test_invocations(aws, front_door, path, body, answer):
    asked = []
    aws.endpoints[ENDPOINTS[0]["endpoint_name"]] = lambda request: asked.append(request) or answer
    response = front_door.handler(event(path, body), Context())
    assert response["statusCode"] == 200, response["body"]
    modes = {"/embed": "embedding", "/nearest": "nn_corpus", "/search": "search"}
    assert (asked[0]["mode"], asked[0]["request_id"]) == (modes[path], "request-1")
    # Only /embed has a limit that depends on what is deployed.
    assert len(aws.called("GetParameter")) == (path == "/embed")
    [request] = aws.called("InvokeEndpoint")
    assert request["ContentType"] == request["Accept"] == "application/json"


def test_the_parameters(aws, front_door):
    response = front_door.handler(event("/endpoints", method="GET"), Context())
    assert response["statusCode"] == 200, response["body"]
    assert aws.called("GetParameter") == [
        {"Name": ENVIRONMENT["DEPLOYMENT_PARAMETER"]},
        {"Name": ENVIRONMENT["SERVING_PARAMETER"]},
    ]
