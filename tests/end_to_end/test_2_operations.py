"""What its owners do with a running deployment: batches, switching off and on, looking at costs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import RSAKey

from contract.vector_index import VectorIndex
from corpus.reader import read_corpus
from faq_search.api import FaqSearch
from faq_search.batch import Batch
from faq_search.errors import BatchError, FaqSearchError
from tests.end_to_end.local_app import ROOT, SAMPLE, UP_SECONDS, LocalApp
from tests.support.issuer import AUDIENCE, EC, RSA, Issuer, running_issuer

GOOD = [(entry.id, entry.answer) for entry in read_corpus(SAMPLE)]
DAMAGED = [
    b'{"id": 1, "text_inputs": ',
    b'{"id": 2, "text_inputs": "\xff\xfe"}',
    b'["id", "text_inputs"]',
    b'{"text_inputs": "no id"}',
    b'{"id": 3}',
    b'{"id": 4, "text_inputs": ["a list"]}',
    b'{"id": 5, "text_inputs": ""}',
    b'{"id": {}, "text_inputs": "an object as id"}',
    b'{"id": 6, "text_inputs": "\\ud800 alone"}',
    b'{"id": 7, "text_inputs": "' + b"long " * 30_000 + b'"}',
]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample's answers as a batch, with a damaged line of every kind between them."""
    lines = [json.dumps({"id": i, "text_inputs": text}).encode() for i, text in GOOD]
    for number, line in enumerate(DAMAGED):
        lines.insert(7 + number * 11, line)
    lines.insert(3, b"")
    path = tmp_path_factory.mktemp("batch") / "mixed.jsonl"
    path.write_bytes(b"\r\n".join(lines))
    return path


def finished(app: LocalApp, bucket: str, prefix: str) -> dict[str, Any]:
    """The first report that appears below a prefix of a bucket."""
    s3 = app.boto("s3")
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        for item in s3.list_objects_v2(Bucket=bucket, Prefix=prefix).get("Contents", []):
            if item["Key"].endswith("/report.json"):
                return json.load(s3.get_object(Bucket=bucket, Key=item["Key"])["Body"])
        time.sleep(0.5)
    raise AssertionError("no batch has ended")


def batch_bucket(app: LocalApp) -> str:
    buckets = [b["Name"] for b in app.boto("s3").list_buckets()["Buckets"]]
    (found,) = (name for name in buckets if "storagebatch" in name)
    return str(found)


def test_a_batch_loses_nothing_good_and_names_what_is_damaged(
    client: FaqSearch, mixed: Path, tmp_path: Path
) -> None:
    batch = client.batch(mixed, merge=True, instance_count=2, client_token="mixed")
    report = batch.wait(timeout=120).report
    assert report is not None
    assert report.records.rejected == len(DAMAGED)
    assert (report.records.accepted, report.records.embedded) == (len(GOOD), len(GOOD))
    assert (report.records.blank, report.records.failed) == (1, 0)
    assert report.cost is not None
    assert report.whole["transform_job"]["instance_count"] == 2
    assert len(report.output) == 2

    lines = batch.download(tmp_path / "embeddings.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert [record["id"] for record in records] == [i for i, _ in GOOD]
    direct = client.embed([text for _, text in GOOD[:20]]).embeddings
    for record, vector in zip(records, direct, strict=False):
        assert record["embedding"] == pytest.approx(vector, abs=1e-5)

    rejects = batch.download_rejects(tmp_path / "rejects.jsonl")
    assert rejects is not None
    listed = [json.loads(line) for line in rejects.read_text().splitlines()]
    source = mixed.read_bytes().split(b"\r\n")
    assert [source[reject["line_number"] - 1] for reject in listed] == DAMAGED
    assert all(len(reject["reason"]) > 10 for reject in listed)


def test_the_same_token_is_the_same_batch(client: FaqSearch, mixed: Path) -> None:
    first = client.batch(mixed, merge=True, instance_count=2, client_token="mixed")
    assert first.state().status == "completed"
    with pytest.raises(FaqSearchError) as refused:
        client.batch(mixed, client_token="mixed")
    assert refused.value.code == "client_token_conflict"


def test_a_file_put_into_the_bucket_is_a_batch(app: LocalApp, tmp_path: Path) -> None:
    bucket = batch_bucket(app)
    before = app.boto("s3").list_objects_v2(Bucket=bucket, Prefix="output/")
    old = {item["Key"].split("/")[1] for item in before.get("Contents", [])}
    body = b"".join(
        json.dumps({"id": i, "text_inputs": f"Text {i}"}).encode() + b"\n" for i in range(50)
    )
    app.boto("s3").put_object(Bucket=bucket, Key="input/mine/texts.jsonl", Body=body)
    deadline = time.monotonic() + 90
    new: set[str] = set()
    while not new and time.monotonic() < deadline:
        time.sleep(0.5)
        now = app.boto("s3").list_objects_v2(Bucket=bucket, Prefix="output/")
        new = {item["Key"].split("/")[1] for item in now.get("Contents", [])} - old
    (batch_id,) = new
    report = finished(app, bucket, f"output/{batch_id}/")
    assert report["status"] == "completed"
    assert report["records"]["embedded"] == 50
    assert report["input"]["s3_uri"] == f"s3://{bucket}/input/mine/texts.jsonl"


def test_a_batch_without_a_good_line_fails_and_says_why(client: FaqSearch, tmp_path: Path) -> None:
    file = tmp_path / "bad.jsonl"
    file.write_text("question,answer\n" * 5)
    with pytest.raises(BatchError) as failed:
        client.batch(file).wait(timeout=60)
    report = failed.value.state.report
    assert report is not None
    assert report.records.rejected == 5
    assert report.reason


def transform_jobs(app: LocalApp, status: str) -> list[str]:
    jobs = app.boto("sagemaker").list_transform_jobs(StatusEquals=status)
    return [job["TransformJobName"] for job in jobs["TransformJobSummaries"]]


def wait_for_status(batch: Batch, *statuses: str) -> str:
    deadline = time.monotonic() + 60
    while (status := batch.state().status) not in statuses:
        assert time.monotonic() < deadline, status
        time.sleep(0.3)
    return status


def test_a_stopped_batch_stops_paying(app: LocalApp, client: FaqSearch, tmp_path: Path) -> None:
    file = tmp_path / "long.jsonl"
    text = " ".join(["A long text about SageMaker."] * 60)
    with file.open("w") as lines:
        lines.writelines(json.dumps({"id": i, "text_inputs": text}) + "\n" for i in range(20_000))
    batch = client.batch(file)
    wait_for_status(batch, "transforming")
    assert batch.stop().status == "stopping"
    assert wait_for_status(batch, "stopped") == "stopped"
    assert not transform_jobs(app, "InProgress")
    assert not transform_jobs(app, "Stopping")
    assert batch.stop().status == "stopped"  # once more does no harm


def test_a_caller_may_have_five_batches_under_way(app: LocalApp, client: FaqSearch) -> None:
    def ask() -> tuple[int, dict[str, Any]]:
        sent = {"x-api-key": app.api["api_key"], "content-type": "application/json"}
        asked = urllib.request.Request(f"{app.api['url']}/batch", b'{"upload": true}', sent)
        try:
            with urllib.request.urlopen(asked, timeout=40) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refusal:
            return refusal.code, json.load(refusal)

    begun: list[Batch] = []
    deadline = time.monotonic() + 60
    while len(begun) < 5:  # the batches of other tests may be about to end
        assert time.monotonic() < deadline
        status, answer = ask()
        if status == 202:
            begun.append(client.find_batch(answer["batch_id"]))
        else:
            time.sleep(0.5)
    status, answer = ask()
    assert (status, answer["code"]) == (429, "too_many_batches")
    assert begun.pop().stop().status == "stopped"
    status, answer = ask()
    assert status == 202
    for batch in (*begun, client.find_batch(answer["batch_id"])):
        assert batch.stop().status == "stopped"


def test_an_unknown_batch_is_not_found(client: FaqSearch) -> None:
    with pytest.raises(FaqSearchError) as refused:
        client.find_batch("00000000-0000-4000-8000-000000000000").state()
    assert refused.value.code == "not_found"


def endpoint_names(app: LocalApp) -> list[str]:
    return [e["EndpointName"] for e in app.boto("sagemaker").list_endpoints()["Endpoints"]]


def test_switched_off_nothing_is_paid_for_and_the_api_says_so(
    app: LocalApp, client: FaqSearch, tmp_path: Path
) -> None:
    assert app.run_command("off").returncode == 0
    try:
        assert endpoint_names(app) == []
        with FaqSearch(app.api["url"], api_key=app.api["api_key"], retries=0) as impatient:
            with pytest.raises(FaqSearchError) as refused:
                impatient.search(["What is batch transform?"])
            assert (refused.value.status, refused.value.code) == (503, "serving_off")
        assert "is off" in app.run_command("status").stdout
        # A deployment leaves the switch as it is.
        app.deploy()
        assert endpoint_names(app) == []
        file = tmp_path / "meanwhile.jsonl"
        file.write_text('{"id": 1, "text_inputs": "Batches run meanwhile."}\n')
        assert client.batch(file).wait(timeout=60).status == "completed"
    finally:
        switched_on = app.run_command("on")
    assert switched_on.returncode == 0, switched_on.stdout
    assert len(endpoint_names(app)) == 2
    assert client.search(["What is batch transform?"]).results[0]


def test_verify_tries_its_checks_and_claims_nothing_of_aws(app: LocalApp, tmp_path: Path) -> None:
    file = tmp_path / "report.md"
    verified = app.run_command("verify", "--report", str(file))
    assert verified.returncode == 0, verified.stdout
    held, _, unchecked = file.read_text().partition("## Could not be checked")
    assert re.findall(r"^\| (\S+): ", held, re.MULTILINE) == ["answers", "answers"]
    tried = dict(
        re.findall(r"^\| (\S+) \| means nothing.*\(tried: (.+)\)", unchecked, re.MULTILINE)
    )
    held_here = ("stacks", "weights", "images", "bake", "refusals", "errors")
    assert {name: tried[name].partition(" ")[2] for name in held_here} == dict.fromkeys(
        held_here, "held"
    )


def test_the_probe_finds_every_endpoint_well(app: LocalApp) -> None:
    functions = app.boto("lambda").list_functions()["Functions"]
    (probe,) = (f["FunctionName"] for f in functions if "Model-Probe" in f["FunctionName"])
    answer = app.boto("lambda").invoke(FunctionName=probe, Payload=b"{}")
    assert "FunctionError" not in answer, answer["Payload"].read()
    logs = (app.state / f"logs/lambda/{probe}.log").read_text()
    metrics = [json.loads(line) for line in logs.splitlines() if '"ProbeFailed"' in line]
    assert {m["EndpointName"]: m["ProbeFailed"] for m in metrics} == {
        "faq-search-local-c6i-xlarge": 0,
        "faq-search-local-g5-2xlarge": 0,
    }


def test_a_requests_id_is_in_every_log_on_its_way(app: LocalApp, client: FaqSearch) -> None:
    request_id = client.search(["What is a model registry?"]).request_id
    deadline = time.monotonic() + 10
    wanted = {"api_gateway", "lambda", "endpoints"}
    found: set[str] = set()
    while found != wanted and time.monotonic() < deadline:
        found = {
            folder
            for folder in wanted
            for file in (app.state / "logs" / folder).rglob("*.log")
            if request_id in file.read_text(errors="replace")
        }
        time.sleep(0.3)
    assert found == wanted


def test_a_second_stage_lives_beside_the_first_and_takes_signed_requests_then_tokens_only(
    app: LocalApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = app.api
    app.deploy(stage="signed")
    try:
        signed = app.api
        index = _wait_for_index(app)
        assert signed["auth"] == "iam"
        assert signed["url"] != first["url"]
        with app.client() as client:  # with the credentials of the local AWS
            assert client.search(["What is batch transform?"], top_k=1).results[0]
        with (
            FaqSearch(signed["url"], api_key=first["api_key"]) as client,
            pytest.raises(FaqSearchError, match="Sign the request"),
        ):
            client.search(["What is batch transform?"])
        for name, value in app.context.administrator.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
        with (
            FaqSearch(signed["url"], iam=True, region=signed["region"]) as client,
            pytest.raises(FaqSearchError, match="signature does not match"),
        ):
            client.search(["What is batch transform?"])
        with running_issuer() as issuer:
            settings = app.config / "signed.toml"
            table = f'\n[api.jwt]\nissuer = "{issuer.url}"\naudience = ["{AUDIENCE}"]\n'
            table += 'scopes = ["faq/ask"]\n'
            text = settings.read_text().replace('auth = "iam"', 'auth = "jwt"')
            settings.write_text(text + table)
            app.deploy(_two_entries(app), stage="signed")
            assert app.api["url"] == signed["url"]
            assert _wait_for_index(app, before=index) != index
            _takes_tokens_only(app.api["url"], issuer)
    finally:
        assert app.run("destroy", stage="signed").returncode == 0
        (app.state / "api.json").write_text(json.dumps(first))
    assert app.boto("s3vectors").list_vector_buckets()["vectorBuckets"] == []
    names = {each["Name"] for each in app.boto("ssm").describe_parameters()["Parameters"]}
    assert not any(name.startswith("/faq-search/signed/") for name in names)
    with app.client() as client:
        assert client.search(["What is batch transform?"]).results[0]


def _wait_for_index(app: LocalApp, before: str = "none") -> str:
    """The index that is searched, once it is another one."""
    ssm, give_up_at = app.boto("ssm"), time.monotonic() + UP_SECONDS
    while time.monotonic() < give_up_at:
        with suppress(ssm.exceptions.ParameterNotFound):
            value = ssm.get_parameter(Name="/faq-search/signed/index")["Parameter"]["Value"]
            if (found := VectorIndex.from_json(value).index_id) != before:
                return found
        time.sleep(0.5)
    raise AssertionError(app.run("status", stage="signed").stdout)


def _two_entries(app: LocalApp) -> Path:
    """Another corpus."""
    path = app.state.parent / "two.jsonl"
    path.write_text(
        '{"question":"What is batch transform?","answer":"Many texts at once."}\n'
        '{"question":"What is the secret door\'s colour?","answer":"Vermilion."}\n'
    )
    return path


def _takes_tokens_only(url: str, issuer: Issuer) -> None:
    def ask(token: str) -> None:
        with FaqSearch(url, token=token, retries=0) as client:
            assert client.search(["What is batch transform?"], top_k=1).results[0]

    valid = issuer.token(scope="openid faq/ask")
    ask(valid)
    ask(issuer.token(EC, scope="faq/ask"))
    stranger = RSAKey.generate_key(2048, {"kid": RSA.kid})
    for token, code in (
        (issuer.token(scope="faq/ask", exp=-60), "unauthorized"),
        (issuer.token(stranger, scope="faq/ask"), "unauthorized"),
        (issuer.token(scope="faq/ask", aud="another"), "unauthorized"),
        ("no-token", "unauthorized"),
        (issuer.token(scope="openid"), "forbidden"),
    ):
        with pytest.raises(FaqSearchError) as refused:
            ask(token)
        assert refused.value.code == code
    assert len(issuer.asked) == 2, "the keys are fetched once"
    command = [sys.executable, "-m", "faq_search", "--url", url, "--token", valid, "--json"]
    asked = subprocess.run(
        [*command, "ask", "What is batch transform?"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(asked.stdout)["hits"]
    # As OpenAI's clients send it.
    request = urllib.request.Request(f"{url}/models", headers={"Authorization": f"Bearer {valid}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert json.load(answer)["object"] == "list"
