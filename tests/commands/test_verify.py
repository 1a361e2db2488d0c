"""Verify: what each check asks AWS, what it says of the answers, and what ends in the report."""

from __future__ import annotations

import argparse
import io
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.validate import ParamValidator

from commands.errors import CommandError
from commands.findings import Finding
from commands.target import Choice, Target
from commands.verify import changing, command, reading
from commands.verify.command import CHECKS, Check, findings_of
from commands.verify.deployed import Deployed
from contract.deployment import Deployment
from local_aws.service_models import service_model
from tests.support.model_validator import check_request
from tests.support.recorded_aws import AwsError, RecordedAws, installed

PAGE = Path(__file__).parents[2] / "docs/unverified.md"
NOW = datetime(2026, 11, 26, tzinfo=UTC)
ENDPOINT = "faq-search-dev-c6i-xlarge"
BAKE = "b" * 64
ARN = "arn:aws:sagemaker:us-east-1:123456789012"
MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:faq-search-dev-bake"
RUN = f"{MACHINE.replace('stateMachine', 'execution')}:1"
ROLE = "arn:aws:iam::123456789012:role/FrontDoorRole"
LOG_GROUP = "arn:aws:logs:us-east-1:123456789012:log-group:Access:*"
METRIC = {
    "Namespace": "AWS/SageMaker",
    "MetricName": "ModelLatency",
    "Dimensions": [{"Name": "EndpointName", "Value": ENDPOINT}],
}
ALARM = {"AlarmName": "FaqSearch-dev-Model-x", "StateValue": "OK", **METRIC}
UPDATE = {
    "BlueGreenUpdatePolicy": {
        "TrafficRoutingConfiguration": {"Type": "CANARY", "WaitIntervalInSeconds": 300}
    },
    "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": ALARM["AlarmName"]}]},
}
DEV = Choice.read("dev")
IMAGE = DEV.settings.lock.image_uri("us-east-1", gpu=False)
CHECK = {check.name: check for check in CHECKS}


class TestThePageOfWhatIsNotVerified:
    def test_names_every_check_and_no_other(self) -> None:
        marks = re.findall(r"`verify: ([a-z, -]+)`", PAGE.read_text())
        assert {name for mark in marks for name in mark.split(", ")} == set(CHECK)

    def test_says_of_each_point_what_checks_it(self) -> None:
        points = [line for line in PAGE.read_text().splitlines() if line.startswith("- ")]
        unmarked = [p for p in points if not re.search(r" `(verify: [a-z, -]+|by hand)`$", p)]
        assert len(points) > 50
        assert unmarked == []


def event(second: float, message: str) -> dict[str, Any]:
    return {"timestamp": int(1e12 + second * 1000), "message": message}


def price(dollars: str) -> str:
    dimensions = {"r": {"pricePerUnit": {"USD": dollars}}}
    return json.dumps({"terms": {"OnDemand": {"t": {"priceDimensions": dimensions}}}})


def listed_price(request: dict[str, Any]) -> dict[str, Any]:
    wanted = {each["Field"]: each["Value"] for each in request["Filters"]}
    assert (wanted["regionCode"], wanted["component"]) == ("us-east-1", "Hosting")
    return {"PriceList": [price("0.2380")] if wanted["instanceName"] == "ml.c6i.xlarge" else []}


def refused(code: str, message: str, **members: Any) -> Any:
    def answer(request: dict[str, Any]) -> Any:
        raise AwsError(code, message, **members)

    return answer


def invoked(request: dict[str, Any]) -> dict[str, Any]:
    if request["EndpointName"] != ENDPOINT:
        raise AwsError("ValidationError", "Endpoint x of account 1 not found.")
    body = json.loads(request["Body"])
    if body["mode"] == "no such mode":
        original = {"message": "invalid_request: no"}
        raise AwsError(
            "ModelError", "x", OriginalStatusCode=400, OriginalMessage=json.dumps(original)
        )
    answer = {"device": "cpu", "runtime": "openvino", "bake_id": BAKE}
    return {"Body": io.BytesIO(json.dumps(answer).encode())}


def training_job(request: dict[str, Any]) -> dict[str, Any]:
    if "missing" in request["TrainingJobName"]:
        raise AwsError("ValidationException", "Requested resource not found.")
    return {
        "TrainingJobName": request["TrainingJobName"],
        "TrainingJobStatus": "Completed",
        "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
        "ResourceConfig": {"InstanceType": "ml.c6i.xlarge", "VolumeSizeInGB": 30},
        "EnableNetworkIsolation": True,
        "BillableTimeInSeconds": 200,
    }


STATEMENTS = [
    {"Effect": "Allow", "Action": ["s3:GetObject", "s3:List*"], "Resource": "arn:aws:s3:::b/*"},
    {
        "Effect": "Allow",
        "Action": "kms:CreateGrant",
        "Resource": "*",
        "Condition": {"Bool": {"kms:GrantIsForAWSResource": "true"}},
    },
    {"Effect": "Deny", "Action": "s3:*", "Resource": "*"},
]


def healthy() -> dict[str, Any]:
    """What an account answers in which everything holds, by operation."""
    stack = {"StackName": "x", "StackStatus": "UPDATE_COMPLETE", "CreationTime": NOW}
    outputs = [{"OutputKey": "TopicArn", "OutputValue": "arn:aws:sns:us-east-1:123456789012:t"}]
    resources = {
        "AWS::IAM::Role": "FrontDoorRole",
        "AWS::StepFunctions::StateMachine": MACHINE,
        "AWS::ApiGateway::RestApi": "abc",
    }
    deployment = Deployment(BAKE, "m", "1", 384, "s")
    quotas = {
        f"ml.c6i.xlarge for {u} usage": 9.0 for u in ("endpoint", "training job", "transform job")
    }

    def listed(request: dict[str, Any]) -> dict[str, Any]:
        parts = resources if request["StackName"].endswith("FrontDoor") else {}
        return {
            "StackResourceSummaries": [
                {"ResourceType": kind, "PhysicalResourceId": name, "LogicalResourceId": "x"}
                for kind, name in parts.items()
            ]
        }

    def seen(request: dict[str, Any]) -> dict[str, Any]:
        job = {"Name": "Host", "Value": "faq-search-dev-bbb-1/algo-1"}
        jobs = request["Namespace"].endswith("TrainingJobs")
        return {"Metrics": [{**METRIC, "Dimensions": [job]} if jobs else METRIC]}

    return {
        "DescribeStacks": {"Stacks": [{**stack, "Outputs": outputs}]},
        "ListStackResources": listed,
        "GetParameter": {"Parameter": {"Value": deployment.to_json()}},
        "ListAWSDefaultServiceQuotas": {
            "Quotas": [{"QuotaName": name, "Value": value} for name, value in quotas.items()]
        },
        "ListServiceQuotas": {"Quotas": []},
        "ListObjectsV2": {"Contents": [{"Key": "p/config.json"}, {"Key": "p/model.safetensors"}]},
        "GetRole": {"Role": {"Arn": ROLE, "RoleName": "FrontDoorRole"}},
        "ListRolePolicies": {"PolicyNames": ["p"]},
        # botocore parses it.
        "GetRolePolicy": {"PolicyDocument": json.dumps({"Statement": STATEMENTS})},
        "SimulatePrincipalPolicy": lambda request: {
            "EvaluationResults": [
                {"EvalActionName": action, "EvalDecision": "allowed"}
                for action in request["ActionNames"]
            ]
        },
        "DescribeEndpoint": {
            "EndpointStatus": "InService",
            "EndpointConfigName": "own",
            "ProductionVariants": [
                {
                    "VariantName": "primary",
                    "DeployedImages": [{"SpecifiedImage": IMAGE, "ResolvedImage": "r@sha256:1"}],
                }
            ],
            "LastDeploymentConfig": UPDATE,
        },
        "ListTrainingJobs": {"TrainingJobSummaries": [{"TrainingJobName": "faq-search-dev-bbb-1"}]},
        "DescribeTrainingJob": training_job,
        "ListExecutions": {
            "executions": [
                {"executionArn": RUN, "startDate": NOW, "stopDate": NOW + timedelta(minutes=10)}
            ]
        },
        "GetExecutionHistory": {"events": [{"id": 1800, "type": "ExecutionSucceeded"}]},
        "InvokeEndpoint": invoked,
        "DescribeLogStreams": {"logStreams": [{"logStreamName": "AllTraffic/i-1"}]},
        "GetLogEvents": {
            "events": [
                event(0, "starting"),
                event(9, "Encoder process ready in 7.0 s"),
                event(10, "Model server started."),
                event(10.5, '"GET /ping HTTP/1.1" 200 1'),
            ]
        },
        "ListMetrics": seen,
        "DescribeAlarms": {"MetricAlarms": [ALARM]},
        "ListSubscriptionsByTopic": {"Subscriptions": [{"SubscriptionArn": "arn:aws:sns:x"}]},
        "GetStage": {"accessLogSettings": {"destinationArn": LOG_GROUP}},
        "GetTraceSummaries": {"TraceSummaries": [{"Id": "1"}]},
        "GetFunctionConfiguration": {"LoggingConfig": {"LogGroup": "FrontDoorLog"}},
        "FilterLogEvents": {"events": [event(0, "REPORT x Init Duration: 812.5 ms")]},
        "DescribeModel": refused("ValidationException", 'Could not find model "x".'),
        "StopTransformJob": refused("ValidationException", "Could not find requested job"),
        "GetResources": {"ResourceTagMappingList": [{"ResourceARN": f"{ARN}:endpoint/{ENDPOINT}"}]},
        "ListCostAllocationTags": {
            "CostAllocationTags": [
                {"TagKey": key, "Type": "UserDefined", "Status": "Active"}
                for key in ("application", "stage", "cost-centre")
            ]
        },
        "GetProducts": listed_price,
        "ListEndpoints": {"Endpoints": []},
    }


class Account(RecordedAws):
    """Answers operations by a table; botocore's models must allow the answers, too."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = healthy()

    def respond(self, service_name: str, operation: str, request: dict[str, Any]) -> Any:
        self.requests.append((service_name, operation, request))
        self.violations += check_request(service_name, operation, request)
        meta = {"ResponseMetadata": {"HTTPStatusCode": 200, "RequestId": "r"}}
        answer = self.answers[operation]
        try:
            document = (answer(request) if callable(answer) else answer) or {}
        except AwsError as error:
            meta["ResponseMetadata"]["HTTPStatusCode"] = error.status
            return AWSResponse("", error.status, {}, None), {**error.document, **meta}
        shape = service_model(service_name).operation_model(operation).output_shape
        report = ParamValidator().validate(document, shape).generate_report() if document else ""
        # An answer here may leave out what the checks do not read, and nothing else.
        self.violations += [e for e in report.splitlines() if not e.startswith("Missing required")]
        return AWSResponse("", 200, {}, None), {**document, **meta}


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    yield from installed(Account(), monkeypatch)


class Api:
    """The deployed API, in place of its client."""

    url, auth, api_key = "https://abcdefghij.execute-api.x/v1", "api_key", "k"
    serves = "ml.c6i.xlarge"

    @contextmanager
    def connect(self) -> Iterator[Any]:
        yield self

    def search(self, queries: list[str], **_: Any) -> Any:
        by = SimpleNamespace(instance_type=self.serves)
        return SimpleNamespace(served_by=by, timing={"model": 9.0}, results=[["hit"]])

    def endpoints(self) -> None:
        pass

    def batch(self, source: Path, **_: Any) -> Any:
        report = SimpleNamespace(output=("a", "b"), seconds=3.0)
        return SimpleNamespace(
            batch_id="1",
            wait=lambda timeout: SimpleNamespace(status="completed", report=report),
            download=lambda to: to.write_text(source.read_text()),
        )


@pytest.fixture
def dev(aws: Account, monkeypatch: pytest.MonkeyPatch) -> Deployed:
    deployed = Deployed(Target("us-east-1"), DEV)
    deployed.__dict__["api"] = Api()
    refusal = 403, b'{"code": "forbidden"}'
    monkeypatch.setattr(reading, "_send", lambda *_: refusal)
    return deployed


def states(check: Check, deployed: Deployed) -> set[str]:
    return {finding.state for finding in findings_of(check, deployed)}


LOOKING = [check for check in CHECKS if check.describe is None]
# What the settings of dev lack: signed requests, and an endpoint that scales.
ABSENT = {"signatures", "scaling"}


@pytest.mark.parametrize("check", LOOKING, ids=lambda check: check.name)
def test_all_is_well(check: Check, dev: Deployed) -> None:
    assert states(check, dev) == {"unknown" if check.name in ABSENT else "ok"}


UNHEALTHY_FIRST = [
    event(1, '"GET /ping HTTP/1.1" 200 1'),
    event(9, "Encoder process ready in 7.0 s"),
]
DENIED = {"EvaluationResults": [{"EvalActionName": "s3:GetObject", "EvalDecision": "explicitDeny"}]}


@pytest.mark.parametrize(
    ("name", "operation", "answer", "state", "shown"),
    [
        ("stacks", "DescribeStacks", {"Stacks": []}, "unknown", ""),
        ("quotas", "ListAWSDefaultServiceQuotas", {"Quotas": []}, "failed", "no such quota"),
        ("weights", "ListObjectsV2", {}, "failed", "nothing"),
        ("permissions", "SimulatePrincipalPolicy", DENIED, "failed", "s3:GetObject (explicitDeny)"),
        ("images", "DescribeEndpoint", {"EndpointStatus": "Failed"}, "failed", "Failed"),
        ("bake", "ListTrainingJobs", {"TrainingJobSummaries": []}, "unknown", "no training job"),
        ("history", "GetExecutionHistory", {"events": [{"id": 9000}]}, "failed", "45,000 events"),
        ("history", "ListExecutions", {"executions": []}, "unknown", "no bake"),
        ("ping", "GetLogEvents", {"events": UNHEALTHY_FIRST}, "failed", "healthy after 0.0 s"),
        ("ping", "GetLogEvents", {"events": []}, "unknown", "none"),
        ("ping", "DescribeLogStreams", {"logStreams": []}, "unknown", "none"),
        ("logs", "DescribeLogStreams", {"logStreams": []}, "failed", "empty"),
        ("metrics", "ListMetrics", {"Metrics": []}, "failed", "not published"),
        (
            "alarms",
            "DescribeAlarms",
            {"MetricAlarms": [{**ALARM, "StateValue": "ALARM"}]},
            "failed",
            "in ALARM",
        ),
        (
            "notifications",
            "ListSubscriptionsByTopic",
            {"Subscriptions": [{"SubscriptionArn": "PendingConfirmation"}]},
            "failed",
            "1 of them not confirmed",
        ),
        ("notifications", "ListSubscriptionsByTopic", {"Subscriptions": []}, "unknown", "0"),
        ("logs", "GetTraceSummaries", {"TraceSummaries": []}, "failed", "0 or more"),
        ("cold-start", "FilterLogEvents", {"events": []}, "unknown", "no cold start"),
        ("tags", "GetResources", {"ResourceTagMappingList": []}, "failed", "not among 0"),
        ("tags", "ListCostAllocationTags", {"CostAllocationTags": []}, "failed", "unknown"),
        ("prices", "GetProducts", {"PriceList": [price("0.204")]}, "failed", "0.238 here, 0.204"),
        ("errors", "DescribeModel", refused("ValidationException", "No."), "failed", "No."),
        ("errors", "DescribeModel", refused("AccessDeniedException", "No."), "unknown", "Access"),
        ("errors", "StopTransformJob", {}, "failed", "no error"),
    ],
)
def test_what_does_not_hold(name, operation, answer, state, shown, dev, aws) -> None:
    aws.answers[operation] = answer
    found = [f for f in findings_of(CHECK[name], dev) if f.state == state]
    assert found, list(findings_of(CHECK[name], dev))
    assert any(shown in finding.found for finding in found)


def test_a_device_that_the_instance_type_does_not_have(dev, monkeypatch) -> None:
    monkeypatch.setattr(reading, "is_gpu", lambda _: True)
    (found,) = findings_of(CHECK["device"], dev)
    assert (found.state, "cpu" in found.found) == ("failed", True)


def test_another_endpoint_answers(dev, monkeypatch) -> None:
    monkeypatch.setattr(Api, "serves", "ml.g5.2xlarge")
    assert states(CHECK["answers"], dev) == {"failed"}


@pytest.mark.parametrize("answer", [(403, b"<html>"), (500, b'{"code": "x"}'), (200, b"[]")])
def test_a_refusal_without_a_code(answer, dev, monkeypatch) -> None:
    monkeypatch.setattr(reading, "_send", lambda *_: answer)
    assert states(CHECK["refusals"], dev) == {"failed"}


def test_grants_are_simulated_under_their_conditions(dev, aws) -> None:
    (found,) = findings_of(CHECK["permissions"], dev)
    assert found.found == "2 allowed, 1 not to be simulated"
    first, second = aws.called("SimulatePrincipalPolicy")
    assert (first["ActionNames"], first["ResourceArns"]) == (["s3:GetObject"], ["arn:aws:s3:::b/x"])
    (entry,) = second["ContextEntries"]
    assert (entry["ContextKeyName"], entry["ContextKeyValues"]) == (
        "kms:GrantIsForAWSResource",
        ["true"],
    )


@pytest.mark.parametrize("answer", [refused("AccessDenied", "arn:aws:iam::1:user/me"), {}])
def test_refusals_and_strange_answers_are_no_crash_and_nothing_holds(answer, dev, aws) -> None:
    aws.answers = dict.fromkeys(aws.answers, answer)
    for check in LOOKING:
        if check.name in ("answers", "refusals", *ABSENT):
            continue
        found = list(findings_of(check, dev))
        assert found
        assert "ok" not in {finding.state for finding in found}, (check.name, found)
        assert "user/me" not in str(found)


class SageMaker:
    """An endpoint that moves to another configuration, or back if an alarm goes off."""

    def __init__(self, aws: Account) -> None:
        self.config, self.wanted, self.left, self.alarm = "own", "own", 0, "OK"
        self.configurations = {"own"}
        answers = {
            "DescribeEndpoint": self.describe,
            "DescribeEndpointConfig": lambda _: {
                "ProductionVariants": [{"VariantName": "primary", "ModelName": "m"}],
                "KmsKeyId": "k",
            },
            "CreateEndpointConfig": lambda r: self.configurations.add(r["EndpointConfigName"]),
            "DeleteEndpointConfig": lambda r: self.configurations.remove(r["EndpointConfigName"]),
            "UpdateEndpoint": self.update,
            "SetAlarmState": lambda r: setattr(self, "alarm", r["StateValue"]),
        }
        aws.answers |= answers

    def update(self, request: dict[str, Any]) -> None:
        assert request["DeploymentConfig"] == UPDATE
        self.wanted, self.left = request["EndpointConfigName"], 3

    def describe(self, request: dict[str, Any]) -> dict[str, Any]:
        self.left = max(0, self.left - 1)
        if self.alarm == "ALARM":
            self.wanted = self.config
        if not self.left:
            self.config = self.wanted
        return {
            **healthy()["DescribeEndpoint"],
            "EndpointStatus": "Updating" if self.left else "InService",
            "EndpointConfigName": self.config,
        }


def test_an_update_and_back(dev, aws) -> None:
    sagemaker = SageMaker(aws)
    there, back = findings_of(CHECK["update"], dev)
    assert (there.state, back.state) == ("ok", "ok")
    assert "2 requests, 0 failed" in there.found
    assert (sagemaker.config, sagemaker.configurations) == ("own", {"own"})


def test_an_update_that_loses_requests(dev, aws) -> None:
    SageMaker(aws)
    aws.answers["InvokeEndpoint"] = refused("ServiceUnavailable", "x")
    there, _ = findings_of(CHECK["update"], dev)
    assert (there.state, "2 failed (ServiceUnavailable)" in there.found) == ("failed", True)


def test_an_update_that_is_taken_back(dev, aws) -> None:
    sagemaker = SageMaker(aws)
    assert states(CHECK["taken-back"], dev) == {"ok"}
    assert (sagemaker.config, sagemaker.alarm) == ("own", "OK")
    aws.answers["SetAlarmState"] = {}
    assert states(CHECK["taken-back"], dev) == {"failed"}
    assert (sagemaker.config, sagemaker.configurations) == ("own", {"own"})


def test_an_update_that_cannot_be_put_back_says_how(dev, aws) -> None:
    sagemaker = SageMaker(aws)

    def only_there(request: dict[str, Any]) -> None:
        sagemaker.update(request)
        aws.answers["UpdateEndpoint"] = refused("ValidationException", "No.")

    aws.answers["UpdateEndpoint"] = only_there
    found = list(findings_of(CHECK["update"], dev))
    assert found[-1].state == "failed"
    assert found[-1].found.endswith("--endpoint-config-name own")


def test_an_update_under_which_requests_had_to_be_repeated(dev, aws, monkeypatch) -> None:
    SageMaker(aws)
    monkeypatch.setattr(Deployed, "ask", lambda *_: ({}, 1))
    there, _ = findings_of(CHECK["update"], dev)
    assert (there.state, "2 failed (answered only when repeated)" in there.found) == (
        "failed",
        True,
    )


def test_an_interrupted_update_is_put_back(dev, aws, monkeypatch) -> None:
    sagemaker = SageMaker(aws)

    def interrupt(request: dict[str, Any]) -> None:
        aws.answers["InvokeEndpoint"] = invoked
        raise KeyboardInterrupt

    aws.answers["InvokeEndpoint"] = interrupt
    with pytest.raises(KeyboardInterrupt):
        list(findings_of(CHECK["update"], dev))
    assert (sagemaker.config, sagemaker.configurations) == ("own", {"own"})


def test_a_batch(dev, monkeypatch) -> None:
    assert states(CHECK["batch"], dev) == {"ok"}
    monkeypatch.setattr(changing, "_LINES", 0)
    (found,) = changing.batch(dev)
    assert "0 vectors in 2 files, 2 instances" in found.found


class TestOff:
    @pytest.fixture
    def switched(self, monkeypatch) -> list[str]:
        switched: list[str] = []
        monkeypatch.setattr(changing, "switch_to", lambda serving, *_: switched.append(serving))
        return switched

    def test_and_on_again(self, dev, switched) -> None:
        assert states(CHECK["off"], dev) == {"ok"}
        assert switched == ["off", "on"]

    def test_leaves_an_endpoint(self, dev, aws, switched) -> None:
        left = {"EndpointName": ENDPOINT, "EndpointStatus": "Updating"}
        aws.answers["ListEndpoints"] = {"Endpoints": [left]}
        off, on = findings_of(CHECK["off"], dev)
        assert (off.state, ENDPOINT in off.found, on.state) == ("failed", True, "ok")

    def test_fails_and_is_switched_on_all_the_same(self, dev, monkeypatch) -> None:
        def refuse_off(serving: str, *_: Any) -> None:
            if serving == "off":
                raise CommandError("No.")

        monkeypatch.setattr(changing, "switch_to", refuse_off)
        off, on = findings_of(CHECK["off"], dev)
        assert (off.state, off.found, on.state) == ("failed", "No.", "ok")


class TestTheCommand:
    OPTIONS = argparse.Namespace(
        stage="dev", local=False, corpus=None, config=None, thorough=False, report=None
    )

    @pytest.fixture(autouse=True)
    def here(self, dev, tmp_path, monkeypatch) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(command, "Deployed", lambda *_: dev)
        monkeypatch.setattr("sys.stdin", io.StringIO())

    def report(self) -> str:
        (file,) = Path.cwd().glob("verify-dev-*.md")
        return file.read_text()

    def test_changes_nothing_unasked(self, aws, capsys) -> None:
        assert command.run(self.OPTIONS) == 0
        changed = [name for _, name, _ in aws.requests if name.startswith(("Update", "Create"))]
        assert changed == []
        assert "| update | not asked for" in self.report()

    def test_says_what_did_not_hold(self, aws, capsys) -> None:
        aws.answers["GetTraceSummaries"] = {"TraceSummaries": []}
        assert command.run(self.OPTIONS) == 1
        assert "1 did not hold" in capsys.readouterr().out
        assert "## Did not hold\n\n| what | found |\n|---|---|\n| logs: traces |" in self.report()

    def test_names_what_it_changes(self, aws, capsys, monkeypatch) -> None:
        SageMaker(aws)
        monkeypatch.setattr(changing, "switch_to", lambda *_: None)
        options = argparse.Namespace(**{**vars(self.OPTIONS), "thorough": True})
        assert command.run(options) == 0
        printed = capsys.readouterr().out
        assert f"update: It updates {ENDPOINT}" in printed
        assert "about 0.24 USD" in printed
        assert "not asked for" not in self.report()

    @pytest.mark.parametrize(("typed", "ran"), [("y", True), ("", False)])
    def test_asks_at_a_terminal(self, typed, ran, aws, monkeypatch) -> None:
        SageMaker(aws)
        monkeypatch.setattr(changing, "switch_to", lambda *_: None)
        monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda: True))
        asked: list[str] = []
        monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or typed)
        assert command.run(self.OPTIONS) == 0
        assert [question.partition(":")[0] for question in asked] == [
            "update",
            "taken-back",
            "batch",
            "off",
        ]
        assert ("not asked for" not in self.report()) is ran

    def test_keeps_what_it_found_until_it_is_interrupted(self, aws, monkeypatch) -> None:
        aws.answers["ListMetrics"] = lambda _: (_ for _ in ()).throw(KeyboardInterrupt)
        with pytest.raises(KeyboardInterrupt):
            command.run(self.OPTIONS)
        assert "| stacks: FaqSearch-dev-Model | UPDATE_COMPLETE |" in self.report()

    def test_needs_a_deployed_stage(self, aws) -> None:
        aws.answers["DescribeStacks"] = refused("ValidationError", "Stack x does not exist")
        with pytest.raises(CommandError, match="deploy first"):
            command.run(self.OPTIONS)


def test_nothing_that_the_local_aws_only_emulates_holds(aws, monkeypatch) -> None:
    monkeypatch.setattr(reading, "_send", lambda *_: (403, b'{"code": "forbidden"}'))
    context = SimpleNamespace(client=lambda service, region: aws.client(service))
    local = Deployed(Target("us-east-1", SimpleNamespace(context=context)), DEV)  # type: ignore[arg-type]
    local.__dict__["api"] = Api()
    found = list(command.examine(local, {check.name for check in LOOKING}))
    assert [f.subject for f in found if f.state == "ok"] == ["answers: ml.c6i.xlarge"]
    assert "failed" not in {finding.state for finding in found}
    assert "tried: 5 held" in next(f.found for f in found if f.subject == "stacks")


def test_the_report_gives_nobody_away(dev) -> None:
    secrets = (
        "123456789012",
        "arn:aws:sts::123456789012:assumed-role/Admin/jane",
        "jane.doe@example.org",
        "AKIAABCDEFGHIJKLMNOP",
        "abcdefghij.execute-api.eu-west-1",
    )
    text = command.markdown(dev, NOW, [Finding("a | b", "ok", secret) for secret in secrets])
    assert not re.search("1234567|Admin|jane|example|AKIA|abcdefghij", text)
    assert "| a \\| b | … |" in text
