"""Training jobs: real processes over real channels."""

from __future__ import annotations

import io
import json
import logging
import tarfile
import time
from typing import Any
from uuid import uuid4

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from local_aws.sagemaker import training_jobs
from local_aws.sagemaker.storage import relative_name
from local_aws.server import LocalAws
from tests.support.sagemaker import BUCKET, IMAGE, ROLE, await_job, wait_until

INSPECT = """
import json, os, pathlib, sys
base = pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"])
config = base / "input/config"
report = {
    "arguments": sys.argv[1:],
    "environment": dict(os.environ),
    "files": sorted(str(p.relative_to(base)) for p in (base / "input").rglob("*") if p.is_file()),
    **{p.stem: json.loads(p.read_text()) for p in config.iterdir()},
}
print("a line of progress", flush=True)
(base / "model/report.json").write_text(json.dumps(report))
(base / "model/weights").mkdir()
(base / "model/weights/w.bin").write_bytes(b"w" * 1000)
"""


def request(aws: LocalAws, program: str, **members: Any) -> dict[str, Any]:
    """A CreateTrainingJob request whose channel "code" holds one program."""
    name = f"job-{uuid4().hex[:10]}"
    aws.context.client("s3").put_object(Bucket=BUCKET, Key=f"{name}/main.py", Body=program)
    return {
        "TrainingJobName": name,
        "AlgorithmSpecification": {
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["python3", "/opt/ml/input/data/code/main.py"],
        },
        "RoleArn": ROLE,
        "InputDataConfig": [channel("code", f"s3://{BUCKET}/{name}/main.py")],
        "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/bakes/"},
        "ResourceConfig": {
            "InstanceType": "ml.c6i.xlarge",
            "InstanceCount": 1,
            "VolumeSizeInGB": 10,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        **members,
    }


def channel(name: str, uri: str) -> dict[str, Any]:
    return {
        "ChannelName": name,
        "DataSource": {
            "S3DataSource": {
                "S3DataType": "S3Prefix",
                "S3Uri": uri,
                "S3DataDistributionType": "FullyReplicated",
            }
        },
    }


def run(aws: LocalAws, job: dict[str, Any]) -> dict[str, Any]:
    sagemaker = aws.context.client("sagemaker")
    sagemaker.create_training_job(**job)
    return await_job(sagemaker, job["TrainingJobName"])


def unpack(aws: LocalAws, uri: str) -> dict[str, bytes]:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    body = aws.context.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    with tarfile.open(fileobj=io.BytesIO(body), mode="r:gz") as archive:
        return {
            member.name: archive.extractfile(member).read()  # type: ignore[union-attr]
            for member in archive.getmembers()
            if member.isfile()
        }


def test_a_job_runs_its_entry_point_over_its_channels(
    aws: LocalAws, caplog: pytest.LogCaptureFixture
) -> None:
    s3 = aws.context.client("s3")
    for key in ("weights/v1/config.json", "weights/v1/sub/model.bin", "weights/v10/other"):
        s3.put_object(Bucket=BUCKET, Key=key, Body=key)
    s3.put_object(Bucket=BUCKET, Key="weights/v1/", Body=b"")
    job = request(
        aws,
        INSPECT,
        HyperParameters={"batch_size": "64"},
        Environment={"PLACE": "/opt/ml/model"},
        EnableNetworkIsolation=True,
    )
    job["InputDataConfig"].append(channel("weights", f"s3://{BUCKET}/weights/v1/"))
    job["AlgorithmSpecification"]["ContainerArguments"] = ["--out=/opt/ml/model", "/opt/mlx"]
    with caplog.at_level(logging.INFO, "local_aws.sagemaker.training"):
        found = run(aws, job)
    name = job["TrainingJobName"]
    assert found["TrainingJobStatus"] == "Completed"
    assert found["ModelArtifacts"]["S3ModelArtifacts"] == (
        f"s3://{BUCKET}/bakes/{name}/output/model.tar.gz"
    )
    assert found["HyperParameters"] == {"batch_size": "64"}
    files = unpack(aws, found["ModelArtifacts"]["S3ModelArtifacts"])
    assert files["weights/w.bin"] == b"w" * 1000
    report = json.loads(files["report.json"])
    base = report["environment"]["SAGEMAKER_BASE_DIR"]
    assert report["arguments"] == [f"--out={base}/model", "/opt/mlx"]
    assert report["files"] == [
        "input/config/hyperparameters.json",
        "input/config/inputdataconfig.json",
        "input/config/resourceconfig.json",
        "input/data/code/main.py",
        "input/data/weights/config.json",
        "input/data/weights/sub/model.bin",
    ]
    assert report["hyperparameters"] == {"batch_size": "64"}
    assert report["inputdataconfig"]["weights"]["TrainingInputMode"] == "File"
    assert report["resourceconfig"]["hosts"] == ["algo-1"]
    assert report["environment"]["TRAINING_JOB_NAME"] == name
    assert report["environment"]["TRAINING_JOB_ARN"] == found["TrainingJobArn"]
    assert report["environment"]["PLACE"] == f"{base}/model"
    assert not {key for key in report["environment"] if key.startswith("PYTEST")}
    assert f"{name}: a line of progress" in caplog.messages
    log = aws.context.state_dir / "logs" / "training-jobs" / f"{name}.log"
    assert log.read_text() == "a line of progress\n"


def test_a_job_passes_through_its_states_and_leaves_no_folder(aws: LocalAws) -> None:
    job = request(aws, INSPECT)
    found = run(aws, job)
    transitions = found["SecondaryStatusTransitions"]
    assert [t["Status"] for t in transitions] == [
        "Starting",
        "Downloading",
        "Training",
        "Uploading",
        "Completed",
    ]
    assert all(t["EndTime"] >= t["StartTime"] for t in transitions)
    assert found["SecondaryStatus"] == "Completed"
    assert found["TrainingEndTime"] >= found["TrainingStartTime"] >= found["CreationTime"]
    folder = aws.context.state_dir / "sagemaker" / "training-jobs" / job["TrainingJobName"]
    wait_until(lambda: not folder.exists())


def test_a_failure_has_the_message_of_the_container(aws: LocalAws) -> None:
    program = """
import os, pathlib, sys
pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"], "output/failure").write_text("Row 3 is empty.")
sys.exit(4)
"""
    found = run(aws, request(aws, program))
    assert found["TrainingJobStatus"] == "Failed"
    assert found["FailureReason"] == "AlgorithmError: Row 3 is empty., exit code: 4"
    assert "ModelArtifacts" not in found
    assert found["SecondaryStatusTransitions"][-1]["StatusMessage"] == found["FailureReason"]


def test_a_long_failure_is_cut(aws: LocalAws) -> None:
    program = """
import os, pathlib, sys
pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"], "output/failure").write_text("x" * 5000)
os.kill(os.getpid(), 9)
"""
    reason = run(aws, request(aws, program))["FailureReason"]
    assert len(reason) == 1024
    assert reason.endswith("xx, exit code: 137")


def test_a_channel_without_objects_fails_the_job(aws: LocalAws) -> None:
    for uri in (f"s3://{BUCKET}/nothing/here/", "s3://no-such-bucket/x"):
        job = request(aws, INSPECT)
        job["InputDataConfig"].append(channel("corpus", uri))
        found = run(aws, job)
        assert found["TrainingJobStatus"] == "Failed"
        assert f'No S3 objects found under S3 URL "{uri}"' in found["FailureReason"]
        assert found["FailureReason"].startswith("ClientError: ")


def test_a_program_that_is_not_there_fails_the_job(aws: LocalAws) -> None:
    job = request(aws, "")
    job["AlgorithmSpecification"]["ContainerEntrypoint"] = ["no-such-program"]
    found = run(aws, job)
    assert found["TrainingJobStatus"] == "Failed"
    assert "no-such-program" in found["FailureReason"]


WAITS = """
import os, pathlib, signal, sys, time
def end(*_):
    pathlib.Path(os.environ["SAGEMAKER_BASE_DIR"], "model/partial").write_text("half")
    sys.exit(1)
signal.signal(signal.SIGTERM, end)
print("ready", flush=True)
time.sleep(60)
"""


def await_ready(aws: LocalAws, name: str) -> None:
    log = aws.context.state_dir / "logs" / "training-jobs" / f"{name}.log"
    wait_until(lambda: log.exists() and "ready" in log.read_text())


def test_a_stopped_job_uploads_its_model_so_far(aws: LocalAws, sagemaker: BaseClient) -> None:
    job = request(aws, WAITS)
    name = job["TrainingJobName"]
    sagemaker.create_training_job(**job)
    await_ready(aws, name)
    sagemaker.stop_training_job(TrainingJobName=name)
    found = await_job(sagemaker, name)
    assert (found["TrainingJobStatus"], found["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert "Stopping" in [t["Status"] for t in found["SecondaryStatusTransitions"]]
    assert unpack(aws, found["ModelArtifacts"]["S3ModelArtifacts"]) == {"partial": b"half"}
    with pytest.raises(ClientError, match="in status Stopped"):
        sagemaker.stop_training_job(TrainingJobName=name)


def test_a_job_that_ignores_the_signal_is_killed(
    aws: LocalAws, sagemaker: BaseClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_jobs, "STOP_GRACE_SECONDS", 0.2)
    job = request(aws, WAITS.replace("sys.exit(1)", "pass"))
    sagemaker.create_training_job(**job)
    await_ready(aws, job["TrainingJobName"])
    began = time.monotonic()
    sagemaker.stop_training_job(TrainingJobName=job["TrainingJobName"])
    found = await_job(sagemaker, job["TrainingJobName"])
    assert found["TrainingJobStatus"] == "Stopped"
    assert time.monotonic() - began < 3


def test_a_job_runs_no_longer_than_it_may(aws: LocalAws) -> None:
    job = request(aws, WAITS, StoppingCondition={"MaxRuntimeInSeconds": 1})
    found = run(aws, job)
    assert found["TrainingJobStatus"] == "Stopped"
    assert found["SecondaryStatus"] == "MaxRuntimeExceeded"


def test_a_name_is_never_free_again(aws: LocalAws, sagemaker: BaseClient) -> None:
    job = request(aws, INSPECT)
    run(aws, job)
    with pytest.raises(sagemaker.exceptions.ResourceInUse, match="Job name must be unique"):
        sagemaker.create_training_job(**job)


def test_unknown_jobs(sagemaker: BaseClient) -> None:
    for call in (sagemaker.describe_training_job, sagemaker.stop_training_job):
        with pytest.raises(ClientError, match="Requested resource not found"):
            call(TrainingJobName="nobody")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"InstanceType": "ml.c6i.xlarge", "InstanceCount": 1}, "VolumeSizeInGB must be specified"),
        (
            {"InstanceType": "ml.g5.xlarge", "InstanceCount": 1, "VolumeKmsKeyId": "key"},
            "VolumeKmsKeyId is not supported",
        ),
        (
            {"InstanceType": "ml.c6i.xlarge", "InstanceCount": 2, "VolumeSizeInGB": 1},
            "runs one instance, not 2",
        ),
    ],
)
def test_resources_follow_sagemakers_rules(
    aws: LocalAws, sagemaker: BaseClient, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClientError, match=message):
        sagemaker.create_training_job(**request(aws, INSPECT, ResourceConfig=change))


def test_a_job_without_an_entry_point_is_refused(aws: LocalAws, sagemaker: BaseClient) -> None:
    job = request(aws, INSPECT)
    del job["AlgorithmSpecification"]["ContainerEntrypoint"]
    with pytest.raises(ClientError, match="runs no images"):
        sagemaker.create_training_job(**job)


def test_jobs_are_listed_by_name_and_status(aws: LocalAws, sagemaker: BaseClient) -> None:
    job = request(aws, INSPECT)
    name = job["TrainingJobName"]
    run(aws, job)
    listed = sagemaker.list_training_jobs(NameContains=name, StatusEquals="Completed")
    assert [j["TrainingJobName"] for j in listed["TrainingJobSummaries"]] == [name]
    listed = sagemaker.list_training_jobs(NameContains=name, StatusEquals="Failed")
    assert listed["TrainingJobSummaries"] == []


@pytest.mark.parametrize(
    ("key", "prefix", "name"),
    [
        ("a/b/data.csv", "a/b/data.csv", "data.csv"),
        ("a/b/data.csv", "a/b/", "data.csv"),
        ("a/b/c/data.csv", "a/b", "c/data.csv"),
        ("a/b2/data.csv", "a/b", "b2/data.csv"),
        ("data.csv", "", "data.csv"),
    ],
)
def test_names_of_files_below_a_prefix(key: str, prefix: str, name: str) -> None:
    assert relative_name(key, prefix) == name
