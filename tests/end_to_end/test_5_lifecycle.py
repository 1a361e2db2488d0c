"""A deployment's life: unchanged, with another corpus, rolled back, failing, removed.

The tests follow each other in one life of the app, as its owner's days do.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from container.artifact import sealed
from corpus.reader import read_corpus
from stage.bake_inputs import bake_inputs
from stage.settings import load_settings
from tests.end_to_end.local_app import SAMPLE, LocalApp, deployed_app
from tests.end_to_end.traffic import Traffic

QUESTION = "Which colour has the secret door?"
ANSWER = "The secret door is vermilion."
STACKS = 5


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalApp]:
    with deployed_app(tmp_path_factory.mktemp("life")) as app:
        yield app


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample corpus with its first answer changed."""
    entries = read_corpus(SAMPLE)
    text = SAMPLE.read_text(encoding="utf-8")
    old = entries[0].answer
    assert text.count(old) == 1
    path = tmp_path_factory.mktemp("corpus") / "changed.csv"
    path.write_text(text.replace(old, ANSWER), encoding="utf-8")
    return path


def best(app: LocalApp, question: str = QUESTION) -> str | None:
    with app.client() as client:
        return client.search([question], top_k=1).results[0][0].answer


def training_jobs(app: LocalApp) -> list[str]:
    jobs = app.boto("sagemaker").list_training_jobs(MaxResults=100)["TrainingJobSummaries"]
    return [job["TrainingJobName"] for job in jobs]


def deployed(app: LocalApp) -> dict[str, Any]:
    value = app.boto("ssm").get_parameter(Name="/faq-search/local/deployment")
    return json.loads(value["Parameter"]["Value"])


def was_rolled_back(app: LocalApp) -> dict[str, str]:
    """The Model stack was; the reasons of what failed, by resource type."""
    cloudformation = app.boto("cloudformation")
    (stack,) = cloudformation.describe_stacks(StackName="FaqSearch-local-Model")["Stacks"]
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    failed: dict[str, str] = {}
    for event in cloudformation.describe_stack_events(StackName="FaqSearch-local-Model")[
        "StackEvents"
    ]:  # newest first
        if event["ResourceStatus"] == "UPDATE_IN_PROGRESS" and event["ResourceType"].endswith(
            "::Stack"
        ):
            break
        if event["ResourceStatus"] == "UPDATE_FAILED":
            failed[event["ResourceType"]] = event["ResourceStatusReason"]
    return failed


def test_a_diff_of_nothing_is_empty(app: LocalApp) -> None:
    result = app.run("diff")
    assert result.returncode == 0, result.stdout
    assert result.stdout.count("There were no differences") == STACKS, result.stdout
    assert not re.search(r"^\[[-+~]\]", result.stdout, re.MULTILINE)


def test_a_second_deploy_of_the_same_changes_nothing(app: LocalApp) -> None:
    before = deployed(app), training_jobs(app)
    output = app.deploy()
    assert output.count("(no changes)") == STACKS, output
    assert (deployed(app), training_jobs(app)) == before


def test_a_diff_of_one_answer_shows_the_bake_and_what_follows(app: LocalApp, changed: Path) -> None:
    output = app.run("diff", changed).stdout
    lines = re.findall(r"^\[([-+~])\] (\S+)", output, re.MULTILINE)
    assert set(lines) == {
        ("~", "Custom::Bake"),
        ("~", "AWS::SageMaker::Model"),
        ("~", "AWS::SageMaker::EndpointConfig"),
        ("~", "AWS::SageMaker::Endpoint"),
        ("~", "AWS::CloudWatch::Alarm"),  # they watch the new configuration
        ("~", "Custom::SmokeTest"),
        ("~", "AWS::SSM::Parameter"),
    }, output
    assert "IAM Statement Changes" not in output
    assert output.count("There were no differences") == STACKS - 1
    assert f"[+] {new_bake_id(app, changed)}" in output
    assert "idle, an hour" in output  # what it costs stands beside it


def test_a_changed_corpus_gives_new_answers_and_no_request_is_lost(
    app: LocalApp, changed: Path
) -> None:
    """A thousand requests and more, sent all through the update."""
    before = deployed(app)
    assert best(app) != ANSWER
    with Traffic(app) as traffic:
        app.deploy(changed)
        while traffic.asked < 1000:
            time.sleep(0.1)
    assert best(app) == ANSWER
    after = deployed(app)
    assert after["corpus_sha256"] != before["corpus_sha256"]
    assert len(training_jobs(app)) == 2
    assert set(traffic.statuses) == {200}, traffic.failures
    # Old and new answered, and nothing else did.
    assert set(traffic.bakes) == {before["bake_id"], after["bake_id"]}


def test_an_alarm_takes_an_update_back_and_no_request_is_lost(
    app: LocalApp, tmp_path: Path
) -> None:
    """The new model answers pings and fails callers: its alarm goes off in the canary."""
    before = deployed(app)
    corpus = tmp_path / "alarming.csv"
    corpus.write_text(f"{QUESTION},{ANSWER} Or is it?\n")
    ended = threading.Event()
    alarming = threading.Thread(target=_sound_the_alarm, args=(app, ended))
    alarming.start()
    try:
        with Traffic(app) as traffic:
            result = app.run("deploy", corpus)
            while traffic.asked < 1000:
                time.sleep(0.1)
    finally:
        ended.set()
        alarming.join()
    assert result.returncode == 1, result.stdout
    assert "in ALARM state" in was_rolled_back(app)["Custom::SmokeTest"]
    assert set(traffic.statuses) == {200}, traffic.failures
    assert deployed(app) == before
    assert best(app) == ANSWER


def _sound_the_alarm(app: LocalApp, ended: threading.Event) -> None:
    """Sets the endpoint's model-error alarm off as soon as its update has begun."""
    sagemaker, cloudwatch = app.boto("sagemaker"), app.boto("cloudwatch")
    name = "faq-search-local-c6i-xlarge"
    while sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] != "Updating":
        if ended.wait(0.2):
            return
    alarms = [a["AlarmName"] for a in cloudwatch.describe_alarms()["MetricAlarms"]]
    (alarm,) = (a for a in alarms if "Endpointc6i" in a.replace("-", "") and "ModelErrors" in a)
    cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="ALARM", StateReason="a test")
    ended.wait()
    cloudwatch.set_alarm_state(AlarmName=alarm, StateValue="OK", StateReason="a test")


def test_the_first_corpus_comes_back_without_a_second_training(app: LocalApp) -> None:
    """By one command, from the list of what was deployed."""
    jobs = training_jobs(app)
    listed = json.loads(app.run_command("versions", "--json").stdout)
    now, first = listed[0], listed[-1]
    assert now["bake_id"] == deployed(app)["bake_id"] != first["bake_id"]
    result = app.run_command("rollback", first["bake_id"][:12], "--yes")
    assert result.returncode == 0, result.stdout
    assert best(app) != ANSWER
    assert deployed(app)["bake_id"] == first["bake_id"]
    assert training_jobs(app) == jobs
    # The settings say so too: a deployment without the bake's name trains nothing either.
    assert app.deploy().count("(no changes)") == STACKS - 1
    assert training_jobs(app) == jobs
    assert deployed(app)["bake_id"] == first["bake_id"]


def test_what_no_version_needs_is_pruned(app: LocalApp) -> None:
    result = app.run_command("prune", "--keep", "1", "--yes")
    assert result.returncode == 0, result.stdout
    # All are younger than a day.
    assert len({v["bake_id"] for v in _versions(app) if v["artifact"]}) == 2
    assert best(app) != ANSWER


def _versions(app: LocalApp) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(app.run_command("versions", "--json").stdout)
    return listed


def test_a_bake_that_fails_leaves_the_old_endpoints_answering(
    app: LocalApp, tmp_path: Path
) -> None:
    """JumpStart's weights are gone when a new corpus is to be baked."""
    s3, before = app.boto("s3"), deployed(app)
    bucket = "jumpstart-cache-prod-us-east-1"
    weights = [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    (config,) = (key for key in weights if key.endswith("v1.0.0/config.json"))
    kept = s3.get_object(Bucket=bucket, Key=config)["Body"].read()
    corpus = tmp_path / "third.csv"
    corpus.write_text(f"{QUESTION},{ANSWER}\n")
    s3.delete_object(Bucket=bucket, Key=config)
    try:
        result = app.run("deploy", corpus)
    finally:
        s3.put_object(Bucket=bucket, Key=config, Body=kept)
    assert result.returncode == 1
    assert "config.json" in was_rolled_back(app)["Custom::Bake"]
    assert "config.json" in result.stdout  # the person at the terminal reads it too
    assert best(app) not in {None, ANSWER}
    assert deployed(app) == before


def new_bake_id(app: LocalApp, corpus: Path) -> str:
    """The bake that `corpus` will have."""
    return bake_inputs(load_settings("local", str(corpus), str(app.config))).bake_id


def artifacts_bucket(app: LocalApp) -> str:
    """The name of the bucket that holds the bakes."""
    buckets = [b["Name"] for b in app.boto("s3").list_buckets()["Buckets"]]
    (artifacts,) = (name for name in buckets if "storageartifacts" in name)
    return str(artifacts)


def plant_bake(app: LocalApp, bake_id: str, changes: dict[str, Any]) -> None:
    """Puts today's artifact, its manifest changed, where the bake of `bake_id` would be."""
    s3 = app.boto("s3")
    bucket = artifacts_bucket(app)
    marker = s3.get_object(Bucket=bucket, Key=f"bakes/{deployed(app)['bake_id']}/bake.json")
    source = json.load(marker["Body"])["model_data_url"].removeprefix(f"s3://{bucket}/")
    body = s3.get_object(Bucket=bucket, Key=source)["Body"].read()
    target = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(body)) as old,
        tarfile.open(fileobj=target, mode="w:gz", compresslevel=1) as new,
    ):
        for member in old:
            content = old.extractfile(member)
            if member.name.endswith("bake-manifest.json"):
                assert content is not None
                manifest = sealed(json.load(content) | changes)
                data = json.dumps(manifest).encode()
                member.size, content = len(data), io.BytesIO(data)  # type: ignore[assignment]
            new.addfile(member, content)
    key = f"bakes/{bake_id}/planted/output/model.tar.gz"
    s3.put_object(Bucket=bucket, Key=key, Body=target.getvalue())
    s3.put_object(
        Bucket=bucket,
        Key=f"bakes/{bake_id}/bake.json",
        Body=json.dumps(
            {
                "bake_id": bake_id,
                "model_data_url": f"s3://{bucket}/{key}",
                "training_job_name": "planted",
            }
        ),
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        # The artifact is another bake's: its server ends, and the new fleet never takes traffic.
        ({}, "did not pass the ping health check"),
        # The artifact serves, but not what the bake found.
        ({"probes": "wrong"}, "recorded 0 (0.1230)"),
    ],
)
def test_a_model_that_does_not_answer_right_is_rolled_back(
    app: LocalApp,
    tmp_path: Path,
    changes: dict[str, Any],
    reason: str,
) -> None:
    """Also with the old bake's marker gone: under rollback nothing may fail."""
    before, jobs = deployed(app), training_jobs(app)
    corpus = tmp_path / "planted.csv"
    corpus.write_text(f"{QUESTION},{ANSWER} {reason}\n")
    bake_id = new_bake_id(app, corpus)
    if changes:
        changes = {
            "bake_id": bake_id,
            "probes": [{"query": QUESTION, "ids": ["0"], "scores": [0.123]}],
        }
    plant_bake(app, bake_id, changes)
    s3 = app.boto("s3")
    bucket = artifacts_bucket(app)
    marker = f"bakes/{before['bake_id']}/bake.json"
    kept = s3.get_object(Bucket=bucket, Key=marker)["Body"].read()
    s3.delete_object(Bucket=bucket, Key=marker)
    try:
        result = app.run("deploy", corpus)
    finally:
        s3.put_object(Bucket=bucket, Key=marker, Body=kept)
    assert result.returncode == 1
    assert reason in was_rolled_back(app)["Custom::SmokeTest"]
    assert deployed(app) == before
    assert training_jobs(app) == jobs
    assert best(app) not in {None, ANSWER}


def leftovers(app: LocalApp) -> dict[str, list[str]]:
    """What exists of the kinds that this app makes, by kind."""
    sagemaker, gateway = app.boto("sagemaker"), app.boto("apigateway")
    return {
        "endpoints": [e["EndpointName"] for e in sagemaker.list_endpoints()["Endpoints"]],
        "configurations": [
            c["EndpointConfigName"] for c in sagemaker.list_endpoint_configs()["EndpointConfigs"]
        ],
        "models": [m["ModelName"] for m in sagemaker.list_models()["Models"]],
        "functions": [f["FunctionName"] for f in app.boto("lambda").list_functions()["Functions"]],
        "buckets": [
            b["Name"]
            for b in app.boto("s3").list_buckets()["Buckets"]
            if not b["Name"].startswith(("cdk-", "jumpstart-"))
        ],
        "apis": [a["name"] for a in gateway.get_rest_apis()["items"]],
        "api keys": [k["name"] for k in gateway.get_api_keys()["items"]],
        "usage plans": [p["name"] for p in gateway.get_usage_plans()["items"]],
        "state machines": [
            m["name"] for m in app.boto("stepfunctions").list_state_machines()["stateMachines"]
        ],
        "alarms": [
            a["AlarmName"] for a in app.boto("cloudwatch").describe_alarms()["MetricAlarms"]
        ],
        "dashboards": [
            d["DashboardName"] for d in app.boto("cloudwatch").list_dashboards()["DashboardEntries"]
        ],
        "topics": [t["TopicArn"] for t in app.boto("sns").list_topics()["Topics"]],
        "rules": [r["Name"] for r in app.boto("events").list_rules()["Rules"]],
        "parameters": [
            p["Name"]
            for p in app.boto("ssm").describe_parameters()["Parameters"]
            if "bootstrap" not in p["Name"]
        ],
        "logs of questions": [
            group["logGroupName"]
            for group in app.boto("logs").describe_log_groups(logGroupNamePrefix="/faq-search")[
                "logGroups"
            ]
        ],
        "keys in use": [
            key["KeyId"]
            for key in app.boto("kms").list_keys()["Keys"]
            if app.boto("kms").describe_key(KeyId=key["KeyId"])["KeyMetadata"]["KeyState"]
            == "Enabled"
        ],
        "stacks": [
            s["StackName"]
            for s in app.boto("cloudformation").describe_stacks()["Stacks"]
            if s["StackName"] != "CDKToolkit"
        ],
        "roles": [
            r["RoleName"]
            for r in app.boto("iam").list_roles()["Roles"]
            # API Gateway's account-wide log role is kept on purpose.
            if r["RoleName"].startswith("FaqSearch") and "LogRole" not in r["RoleName"]
        ],
    }


def test_destroy_leaves_nothing_behind(app: LocalApp) -> None:
    assert all(leftovers(app).values())  # or the test would prove nothing
    app.boto("s3").create_multipart_upload(Bucket=artifacts_bucket(app), Key="unfinished")
    result = app.run("destroy")
    assert result.returncode == 0, result.stdout
    assert {kind: names for kind, names in leftovers(app).items() if names} == {}
