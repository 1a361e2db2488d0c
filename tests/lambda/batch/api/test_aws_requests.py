"""What the batch routes ask of S3, Step Functions and SageMaker."""

from __future__ import annotations

import json

import pytest

from tests.support.batch_api import BUCKET, ENVIRONMENT, MACHINE, batch_event
from tests.support.front_door import Context
from tests.support.lambda_functions import load_function


@pytest.fixture
def aws(batch_aws):
    batch_aws.transform_outcome = {}  # jobs go on
    return batch_aws


@pytest.fixture
def call(aws, monkeypatch):
    aws.take_over_sessions(monkeypatch)
    function = load_function("batch.api.handler", monkeypatch, **ENVIRONMENT)
    aws.objects[BUCKET, "input/a b.jsonl"] = b"{}"

    def call(method, path, body=None):
        answer = function.handler(batch_event(path, method, body), Context())
        return answer["statusCode"], json.loads(answer["body"])

    return call


def test_a_batch_from_its_request_to_its_end(aws, call):
    status, asked = call(
        "POST",
        "/batch",
        {"s3_uri": f"s3://{BUCKET}/input/a b.jsonl", "client_token": "monday"},
    )
    assert status == 202, asked
    place = f"/batch/{asked['batch_id']}"
    [head] = aws.called("HeadObject")
    assert head == {"Bucket": BUCKET, "Key": "input/a b.jsonl"}
    [record] = aws.called("PutObject")
    assert record["Key"] == f"requests/{asked['batch_id']}.json"
    [started] = aws.called("StartExecution")
    assert (started["stateMachineArn"], started["name"]) == (MACHINE, asked["batch_id"])

    assert call("GET", place)[1]["status"] == "checking"
    described = aws.called("DescribeExecution")[-1]["executionArn"]
    assert described in aws.executions

    job = aws.called("DescribeTransformJob")[-1]["TransformJobName"]
    aws.add_transform_job(job, "InProgress")
    assert call("GET", place)[1]["status"] == "transforming"
    assert call("DELETE", place)[0] == 202
    assert aws.called("StopTransformJob") == [{"TransformJobName": job}]

    report = {"status": "stopped", "merged": None, "output": [], "rejects": []}
    aws.objects[BUCKET, f"output/{asked['batch_id']}/report.json"] = json.dumps(report).encode()
    assert call("GET", place)[1]["status"] == "stopped"


def test_stopping_an_execution_and_an_upload(aws, call):
    _, asked = call("POST", "/batch", {"s3_uri": f"s3://{BUCKET}/input/a b.jsonl"})
    assert call("DELETE", f"/batch/{asked['batch_id']}")[0] == 202
    [stopped] = aws.called("StopExecution")
    assert aws.executions[stopped["executionArn"]]["status"] == "ABORTED"

    _, upload = call("POST", "/batch", {"upload": True})
    # Of the older kind, which botocore may choose here, S3 takes none for objects under a KMS key.
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in upload["upload"]["url"]
    assert call("DELETE", f"/batch/{upload['batch_id']}")[0] == 200
    assert "IfNoneMatch" not in aws.called("PutObject")[-1]
