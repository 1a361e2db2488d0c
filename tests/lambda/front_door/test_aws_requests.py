"""What the front door asks of SageMaker and SSM."""

from __future__ import annotations

import json

import pytest

from tests.support.front_door import DEPLOYMENT, ENDPOINTS, ENVIRONMENT, Context, event
from tests.support.lambda_functions import load_function


@pytest.fixture
def front_door(aws, monkeypatch):
    aws.take_over_sessions(monkeypatch)
    aws.parameters[ENVIRONMENT["DEPLOYMENT_PARAMETER"]] = json.dumps(DEPLOYMENT)
    aws.parameters[ENVIRONMENT["SERVING_PARAMETER"]] = "on"
    return load_function("front_door.handler", monkeypatch, **ENVIRONMENT)


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
