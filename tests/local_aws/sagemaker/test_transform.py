"""Transform jobs: real model servers that process the objects below a prefix."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from local_aws.server import LocalAws
from tests.support.sagemaker import BUCKET, is_alive, put_model, wait_until

# Answers {"n": 1} with {"n": 1, "pid": ...}, line by line; some numbers make it misbehave.
NUMBERS = """
import json, os, time

def model_fn(model_dir):
    return model_dir

def one(record):
    if "fail" in record:
        raise ValueError("no such number")
    if "exit" in record and os.environ.get("EXIT") == "always":
        os._exit(3)
    time.sleep(record.get("sleep", 0))
    return json.dumps({"n": record["n"], "pid": os.getpid()})

def transform_fn(model, data, content_type, accept):
    lines = bytes(data).decode().split("\\n")
    return "\\n".join(one(json.loads(line)) for line in lines if line)
"""
INSPECT = """
import json, os
def model_fn(model_dir):
    return None
def transform_fn(model, data, content_type, accept):
    return json.dumps({"env": dict(os.environ), "body": bytes(data).decode(),
                       "type": content_type, "accept": accept})
"""


@pytest.fixture(scope="module", autouse=True)
def models(s3: BaseClient, sagemaker: BaseClient) -> None:
    put_model(s3, sagemaker, "numbers", NUMBERS)
    put_model(s3, sagemaker, "inspect", INSPECT, GREETING="hello")


def request(model: str = "numbers", **members: Any) -> dict[str, Any]:
    """A job over everything below in/<its name>/, line by line."""
    name = f"job-{uuid4().hex[:10]}"
    job = {
        "TransformJobName": name,
        "ModelName": model,
        "BatchStrategy": "SingleRecord",
        "MaxConcurrentTransforms": 2,
        "MaxPayloadInMB": 6,
        "TransformInput": {
            "DataSource": {
                "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"s3://{BUCKET}/in/{name}/"}
            },
            "ContentType": "application/jsonlines",
            "SplitType": "Line",
        },
        "TransformOutput": {
            "S3OutputPath": f"s3://{BUCKET}/out/{name}/",
            "Accept": "application/jsonlines",
            "AssembleWith": "Line",
        },
        "TransformResources": {"InstanceType": "ml.c6i.xlarge", "InstanceCount": 1},
    }
    return {**job, **members}


def change(job: dict[str, Any], part: str, **members: Any) -> dict[str, Any]:
    return {**job, part: {**job[part], **members}}


def put_numbers(s3: BaseClient, job: dict[str, Any], name: str, records: list[Any]) -> None:
    lines = "".join(
        json.dumps({"n": record} if isinstance(record, int) else record) + "\n"
        for record in records
    )
    put(s3, job, name, lines)


def put(s3: BaseClient, job: dict[str, Any], name: str, body: str) -> None:
    s3.put_object(Bucket=BUCKET, Key=f"in/{job['TransformJobName']}/{name}", Body=body)


def outputs(s3: BaseClient, job: dict[str, Any]) -> dict[str, str]:
    """The keys below the output path, and their contents."""
    prefix = f"out/{job['TransformJobName']}/"
    listed = s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
    return {
        item["Key"].removeprefix(prefix): s3.get_object(Bucket=BUCKET, Key=item["Key"])["Body"]
        .read()
        .decode()
        for item in listed
    }


def parse(text: str) -> list[dict[str, Any]]:
    assert text.endswith("\n")
    return [json.loads(line) for line in text[:-1].split("\n")]


def await_end(sagemaker: BaseClient, job: dict[str, Any], timeout: float = 20.0) -> dict[str, Any]:
    def ended() -> dict[str, Any] | None:
        found = sagemaker.describe_transform_job(TransformJobName=job["TransformJobName"])
        return None if found["TransformJobStatus"] in {"InProgress", "Stopping"} else found

    return wait_until(ended, timeout)


def run(sagemaker: BaseClient, job: dict[str, Any]) -> dict[str, Any]:
    sagemaker.create_transform_job(**job)
    return await_end(sagemaker, job)


def pids(aws: LocalAws, job: dict[str, Any]) -> list[int]:
    folder = aws.context.state_dir / "sagemaker" / "transform-jobs" / job["TransformJobName"]
    return [int(path.read_text()) for path in folder.glob("*/pid")]


def test_every_object_has_its_output_in_the_order_of_its_lines(
    aws: LocalAws, sagemaker: BaseClient, s3: BaseClient
) -> None:
    job = request(MaxConcurrentTransforms=4)
    names = ["00000.jsonl", "00001.jsonl", "deep/er/00002.jsonl"]
    for position, name in enumerate(names):
        put_numbers(s3, job, name, list(range(position * 100, position * 100 + 40)))
    found = run(sagemaker, job)
    assert found["TransformJobStatus"] == "Completed"
    answers = outputs(s3, job)
    assert sorted(answers) == [f"{name}.out" for name in names]
    for position, name in enumerate(names):
        numbers = [answer["n"] for answer in parse(answers[f"{name}.out"])]
        assert numbers == list(range(position * 100, position * 100 + 40))
    assert found["CreationTime"] <= found["TransformStartTime"] <= found["TransformEndTime"]
    assert found["ModelName"] == "numbers"
    arn = f"arn:aws:sagemaker:us-east-1:123456789012:transform-job/{job['TransformJobName']}"
    assert found["TransformJobArn"] == arn
    listed = sagemaker.list_transform_jobs(NameContains=job["TransformJobName"])
    assert [item["TransformJobArn"] for item in listed["TransformJobSummaries"]] == [arn]
    assert found["TransformOutput"] == job["TransformOutput"]
    assert "FailureReason" not in found
    folder = aws.context.state_dir / "sagemaker" / "transform-jobs" / job["TransformJobName"]
    wait_until(lambda: not folder.exists())


def test_files_are_dealt_out_to_the_instances(sagemaker: BaseClient, s3: BaseClient) -> None:
    job = change(request(), "TransformResources", InstanceCount=3)
    for number in range(5):
        put_numbers(s3, job, f"{number}", [number, number + 10])
    assert run(sagemaker, job)["TransformJobStatus"] == "Completed"
    by_file = [
        {answer["pid"] for answer in parse(text)} for _, text in sorted(outputs(s3, job).items())
    ]
    assert all(len(file) == 1 for file in by_file)
    assert by_file[0] == by_file[3]
    assert by_file[1] == by_file[4]
    assert len(set.union(*by_file)) == 3


def test_no_more_instances_run_than_there_are_files(
    aws: LocalAws, sagemaker: BaseClient, s3: BaseClient
) -> None:
    job = change(request(), "TransformResources", InstanceCount=9)
    put_numbers(s3, job, "only", [{"n": 1, "sleep": 0.5}])
    sagemaker.create_transform_job(**job)
    wait_until(lambda: pids(aws, job))
    assert len(pids(aws, job)) == 1
    assert await_end(sagemaker, job)["TransformResources"]["InstanceCount"] == 9


def test_the_container_knows_the_batch_settings(sagemaker: BaseClient, s3: BaseClient) -> None:
    job = request("inspect", Environment={"GREETING": "good day", "MORE": "1"})
    put(s3, job, "x", "first\nsecond\n")
    assert run(sagemaker, job)["TransformJobStatus"] == "Completed"
    first, second = parse(outputs(s3, job)["x.out"])
    assert (first["body"], second["body"]) == ("first", "second")
    assert (first["type"], first["accept"]) == ("application/jsonlines",) * 2
    seen = first["env"]
    assert (seen["GREETING"], seen["MORE"]) == ("good day", "1")
    assert seen["SAGEMAKER_BATCH"] == "true"
    assert seen["SAGEMAKER_BATCH_STRATEGY"] == "SINGLE_RECORD"
    assert seen["SAGEMAKER_MAX_PAYLOAD_IN_MB"] == "6"
    assert seen["SAGEMAKER_MAX_CONCURRENT_TRANSFORMS"] == "2"
    assert not {key for key in seen if key.startswith(("AWS_", "PYTEST"))}


def test_omitted_members_have_sagemakers_defaults(sagemaker: BaseClient, s3: BaseClient) -> None:
    job = request("inspect")
    for member in ("BatchStrategy", "MaxConcurrentTransforms", "MaxPayloadInMB"):
        del job[member]
    for member in ("SplitType", "ContentType"):
        del job["TransformInput"][member]
    for member in ("AssembleWith", "Accept"):
        del job["TransformOutput"][member]
    put(s3, job, "x", "first\nsecond\n")
    found = run(sagemaker, job)
    assert found["TransformInput"]["SplitType"] == "None"
    assert found["TransformOutput"]["AssembleWith"] == "None"
    answer = json.loads(outputs(s3, job)["x.out"])
    assert answer["body"] == "first\nsecond\n"
    assert (answer["type"], answer["accept"]) == (None, "application/json")
    assert answer["env"]["SAGEMAKER_BATCH_STRATEGY"] == "MULTI_RECORD"
    assert answer["env"]["SAGEMAKER_MAX_PAYLOAD_IN_MB"] == "6"
    assert "SAGEMAKER_MAX_CONCURRENT_TRANSFORMS" not in answer["env"]


def test_many_records_make_one_request(sagemaker: BaseClient, s3: BaseClient) -> None:
    job = request("inspect", BatchStrategy="MultiRecord", MaxPayloadInMB=1)
    line = "x" * 400_000
    put(s3, job, "x", f"{line}\n{line}\n{line}\n")
    run(sagemaker, job)
    found = parse(outputs(s3, job)["x.out"])
    assert [len(answer["body"]) for answer in found] == [800_002, 400_001]


def test_one_key_may_be_the_whole_input(sagemaker: BaseClient, s3: BaseClient) -> None:
    job = request()
    put_numbers(s3, job, "sub/one.jsonl", [7])
    job["TransformInput"]["DataSource"]["S3DataSource"]["S3Uri"] += "sub/one.jsonl"
    job["TransformOutput"]["KmsKeyId"] = "alias/some-key"
    run(sagemaker, job)
    assert list(outputs(s3, job)) == ["one.jsonl.out"]
    key = f"out/{job['TransformJobName']}/one.jsonl.out"
    assert s3.head_object(Bucket=BUCKET, Key=key)["ServerSideEncryption"] == "aws:kms"


def test_a_file_that_fails_has_no_output_and_fails_the_job(
    sagemaker: BaseClient, s3: BaseClient
) -> None:
    job = request()
    put_numbers(s3, job, "a", [1, 2])
    put_numbers(s3, job, "b", [3, {"fail": 1}, 4])
    put_numbers(s3, job, "c", [5, 6])
    found = run(sagemaker, job)
    assert found["TransformJobStatus"] == "Failed"
    assert found["FailureReason"].startswith("ClientError: See job logs for more information")
    assert "no such number" in found["FailureReason"]
    answers = outputs(s3, job)
    assert sorted(answers) == ["a.out", "c.out"]
    assert [answer["n"] for answer in parse(answers["c.out"])] == [5, 6]


def test_a_record_over_the_payload_limit_fails_its_file(
    sagemaker: BaseClient, s3: BaseClient
) -> None:
    job = request("inspect", MaxPayloadInMB=1)
    put(s3, job, "big", "small\n" + "x" * 1_048_577 + "\n")
    put(s3, job, "small", "small\n")
    found = run(sagemaker, job)
    assert found["TransformJobStatus"] == "Failed"
    assert "Too much data for max payload size" in found["FailureReason"]
    assert list(outputs(s3, job)) == ["small.out"]


def test_a_server_that_ends_is_asked_again_and_again_no_more_than_it_may(
    sagemaker: BaseClient, s3: BaseClient
) -> None:
    client = {"InvocationsTimeoutInSeconds": 5, "InvocationsMaxRetries": 1}
    job = request(Environment={"EXIT": "always"}, ModelClientConfig=client)
    put_numbers(s3, job, "a", [{"n": 1, "exit": 1}])
    found = run(sagemaker, job)
    assert found["TransformJobStatus"] == "Failed"
    assert found["FailureReason"].startswith("AlgorithmError: See job logs")
    assert "Unable to get response from algorithm" in found["FailureReason"]
    assert outputs(s3, job) == {}


def test_a_server_that_was_killed_is_replaced(
    aws: LocalAws, sagemaker: BaseClient, s3: BaseClient
) -> None:
    job = request()
    put_numbers(s3, job, "a", [{"n": number, "sleep": 0.3} for number in range(4)])
    sagemaker.create_transform_job(**job)
    (pid,) = wait_until(lambda: pids(aws, job))
    wait_until(lambda: "TransformStartTime" in describe(sagemaker, job))
    os.killpg(pid, signal.SIGKILL)
    assert await_end(sagemaker, job)["TransformJobStatus"] == "Completed"
    assert [answer["n"] for answer in parse(outputs(s3, job)["a.out"])] == [0, 1, 2, 3]


def test_an_answer_that_takes_too_long_fails(sagemaker: BaseClient, s3: BaseClient) -> None:
    client = {"InvocationsTimeoutInSeconds": 1, "InvocationsMaxRetries": 0}
    job = request(ModelClientConfig=client)
    put_numbers(s3, job, "a", [{"n": 1, "sleep": 30}])
    began = time.monotonic()
    found = run(sagemaker, job)
    assert time.monotonic() - began < 15
    assert "ReadTimeoutError" in found["FailureReason"]


def test_a_container_that_does_not_start_fails_the_job(
    aws: LocalAws, sagemaker: BaseClient, s3: BaseClient
) -> None:
    site = "import os\nprint('no weights', flush=True)\nos._exit(1)"
    put_model(s3, sagemaker, "broken", site=site)
    job = request("broken")
    put_numbers(s3, job, "a", [1])
    found = run(sagemaker, job)
    assert found["TransformJobStatus"] == "Failed"
    assert found["FailureReason"].startswith(
        "AlgorithmError: The container did not pass the ping health check."
    )
    assert "no weights" in found["FailureReason"]
    assert "TransformStartTime" not in found


def test_no_objects_fail_the_job(sagemaker: BaseClient) -> None:
    found = run(sagemaker, request())
    assert found["TransformJobStatus"] == "Failed"
    assert "No S3 objects found under S3 URL" in found["FailureReason"]


def test_an_output_bucket_that_is_not_there_fails_the_job(
    sagemaker: BaseClient, s3: BaseClient
) -> None:
    job = change(request(), "TransformOutput", S3OutputPath="s3://no-such-bucket/out")
    put_numbers(s3, job, "a", [1])
    reason = run(sagemaker, job)["FailureReason"]
    assert reason.startswith("ClientError: Data upload failed")


def describe(sagemaker: BaseClient, job: dict[str, Any]) -> dict[str, Any]:
    return sagemaker.describe_transform_job(TransformJobName=job["TransformJobName"])


def test_a_job_is_stopped_at_once_and_leaves_no_process(
    aws: LocalAws, sagemaker: BaseClient, s3: BaseClient
) -> None:
    job = change(request(), "TransformResources", InstanceCount=2)
    put_numbers(s3, job, "a", [1, {"n": 2, "sleep": 60}])
    put_numbers(s3, job, "b", [1, {"n": 2, "sleep": 60}, {"n": 3, "sleep": 60}])
    sagemaker.create_transform_job(**job)
    wait_until(lambda: "TransformStartTime" in describe(sagemaker, job))
    running = pids(aws, job)
    assert len(running) == 2
    began = time.monotonic()
    sagemaker.stop_transform_job(TransformJobName=job["TransformJobName"])
    found = await_end(sagemaker, job)
    assert time.monotonic() - began < 5
    assert found["TransformJobStatus"] == "Stopped"
    assert found["TransformEndTime"] >= found["TransformStartTime"]
    assert not any(is_alive(pid) for pid in running)
    assert outputs(s3, job) == {}
    with pytest.raises(ClientError, match="in status Stopped"):
        sagemaker.stop_transform_job(TransformJobName=job["TransformJobName"])


def test_a_job_can_be_stopped_before_its_model_has_loaded(
    aws: LocalAws, sagemaker: BaseClient, s3: BaseClient
) -> None:
    put_model(s3, sagemaker, "slow", "import time\ntime.sleep(60)")
    job = request("slow")
    put_numbers(s3, job, "a", [1])
    sagemaker.create_transform_job(**job)
    running = wait_until(lambda: pids(aws, job))
    sagemaker.stop_transform_job(TransformJobName=job["TransformJobName"])
    found = await_end(sagemaker, job)
    assert found["TransformJobStatus"] == "Stopped"
    assert not any(is_alive(pid) for pid in running)


def test_the_model_may_go_while_the_job_runs(
    aws: LocalAws, sagemaker: BaseClient, s3: BaseClient
) -> None:
    put_model(s3, sagemaker, "short-lived", NUMBERS)
    job = request("short-lived")
    put_numbers(s3, job, "a", [{"n": number, "sleep": 0.2} for number in range(4)])
    sagemaker.create_transform_job(**job)
    sagemaker.delete_model(ModelName="short-lived")
    wait_until(lambda: pids(aws, job))
    s3.delete_object(Bucket=BUCKET, Key="short-lived/model.tar.gz")
    assert await_end(sagemaker, job)["TransformJobStatus"] == "Completed"
    with pytest.raises(ClientError, match="Could not find model"):
        sagemaker.create_transform_job(**request("short-lived"))


def test_unknown_jobs(sagemaker: BaseClient) -> None:
    for call in (sagemaker.describe_transform_job, sagemaker.stop_transform_job):
        with pytest.raises(ClientError, match="Could not find requested job") as raised:
            call(TransformJobName="nobody")
        assert raised.value.response["Error"]["Code"] == "ValidationException"


@pytest.mark.parametrize(
    ("part", "members", "message"),
    [
        (None, {"MaxPayloadInMB": 51}, "must be at most 100 MB"),
        (None, {"MaxPayloadInMB": 0}, "no chunked encoding"),
        (None, {"BatchStrategy": "Many"}, "batchStrategy.* enum value set"),
        (None, {"Environment": {f"K{n}": "v" for n in range(17)}}, "less than or equal to 16"),
        (None, {"DataProcessing": {"InputFilter": "$.id"}}, "filters or joins"),
        ("TransformResources", {"InstanceCount": 101}, "InstanceCount must be at most 100"),
        (
            "TransformResources",
            {"InstanceType": "ml.g5.2xlarge", "VolumeKmsKeyId": "key"},
            "VolumeKmsKeyId is not supported",
        ),
        ("TransformInput", {"SplitType": "RecordIO"}, "no SplitType RecordIO"),
        ("TransformInput", {"CompressionType": "Gzip"}, "no CompressionType Gzip"),
        ("TransformOutput", {"S3OutputPath": "https://s3/x"}, "is not in S3"),
    ],
)
def test_requests_follow_sagemakers_rules(
    sagemaker: BaseClient, part: str | None, members: dict[str, Any], message: str
) -> None:
    job = request(**members) if part is None else change(request(), part, **members)
    with pytest.raises(ClientError, match=message) as raised:
        sagemaker.create_transform_job(**job)
    assert raised.value.response["Error"]["Code"] == "ValidationException"


# A separate server, with a job that does not end by itself.
SERVER = """
import sys, time
from pathlib import Path
from tests.support.access import local_aws
from tests.local_aws.sagemaker import test_transform as here
from tests.support.sagemaker import BUCKET, put_model

with local_aws(Path(sys.argv[1])) as aws:
    s3, sagemaker = aws.context.client("s3"), aws.context.client("sagemaker")
    s3.create_bucket(Bucket=BUCKET)
    put_model(s3, sagemaker, "numbers", here.NUMBERS)
    job = here.request()
    here.put_numbers(s3, job, "a", [{"n": 1, "sleep": 60}])
    sagemaker.create_transform_job(**job)
    here.wait_until(lambda: "TransformStartTime" in here.describe(sagemaker, job))
    print(*here.pids(aws, job), flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("kill", [True, False])
def test_no_process_outlives_the_server(tmp_path: Path, kill: bool) -> None:
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    pid = int(server.stdout.readline())
    assert is_alive(pid)
    if kill:
        server.kill()
    server.stdin.close()
    server.wait(20)
    server.stdout.close()
    wait_until(lambda: not is_alive(pid))
