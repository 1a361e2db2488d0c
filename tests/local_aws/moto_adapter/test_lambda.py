"""What the patches of moto's Lambda service rely on."""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError
from moto.logs.models import LogEvent

from local_aws import moto_adapter
from local_aws.moto_adapter import LambdaAnswer, LambdaFunction, monitoring
from tests.support.gateway import create_function, zipped

SOURCE = "def handler(event, context):\n    return event\n"


class Router:
    """Answers, and records its requests."""

    def __init__(self) -> None:
        self.asked: list[tuple[LambdaFunction, bytes, str]] = []
        self.deleted: list[str] = []

    def answer(self, function, payload, invocation_type):
        self.asked.append((function, payload, invocation_type))
        return LambdaAnswer(200, {"X-Amz-Function-Error": "Unhandled"}, b'"routed"')

    def refusal(self, runtime, package_type):
        return "is not to be run" if runtime == "ruby3.3" else None

    def function_deleted(self, arn):
        self.deleted.append(arn)


@pytest.fixture
def router() -> Iterator[Router]:
    made = Router()
    moto_adapter.lambda_routers.add(made)
    yield made
    moto_adapter.lambda_routers.remove(made)


def test_invoke_goes_to_the_router_with_its_types_and_comes_back_with_its_headers(aws, router):
    create_function(aws, "routed", SOURCE)
    client = aws.context.client("lambda")
    answer = client.invoke(FunctionName="routed", Payload=b'{"a": 1}')
    assert answer["Payload"].read() == b'"routed"'
    assert answer["FunctionError"] == "Unhandled"
    function, *rest = router.asked[0]
    assert function.name == "routed"
    assert rest == [b'{"a": 1}', "RequestResponse"]


def test_invoke_finds_a_function_by_arn_and_by_published_version(aws, router):
    arn = create_function(aws, "versioned", SOURCE)
    client = aws.context.client("lambda")
    client.publish_version(FunctionName="versioned")
    client.invoke(FunctionName=arn)
    client.invoke(FunctionName="versioned", Qualifier="1")
    assert [function.version for function, *_ in router.asked] == ["$LATEST", "1"]


def change(client, name: str, description: str) -> None:
    client.update_function_configuration(FunctionName=name, Description=description)


def test_versions_are_numbered_once_and_published_only_after_a_change(aws):
    create_function(aws, "numbered", SOURCE)
    client = aws.context.client("lambda")

    def publish() -> str:
        return client.publish_version(FunctionName="numbered")["Version"]

    assert [publish(), publish()] == ["1", "1"]
    change(client, "numbered", "second")
    assert [publish(), publish()] == ["2", "2"]
    client.delete_function(FunctionName="numbered", Qualifier="1")
    change(client, "numbered", "third")
    assert publish() == "3"


def test_a_version_keeps_what_it_was_published_with_but_for_concurrency(aws):
    create_function(aws, "kept", SOURCE, Environment={"Variables": {"A": "1"}})
    client = aws.context.client("lambda")
    client.publish_version(FunctionName="kept")
    client.update_function_configuration(FunctionName="kept", Environment={"Variables": {"A": "2"}})
    client.put_function_concurrency(FunctionName="kept", ReservedConcurrentExecutions=7)
    version = moto_adapter.find_lambda_function("kept:1", "us-east-1")
    assert (version.environment, version.reserved_concurrency) == ({"A": "1"}, 7)


def test_a_version_that_an_alias_means_cannot_be_deleted(aws):
    arn = create_function(aws, "aliased", SOURCE)
    client = aws.context.client("lambda")
    client.publish_version(FunctionName="aliased")
    client.create_alias(FunctionName="aliased", Name="live", FunctionVersion="1")
    with pytest.raises(client.exceptions.ResourceConflictException, match="live"):
        client.delete_function(FunctionName=f"{arn}:1")
    change(client, "aliased", "second")
    client.publish_version(FunctionName="aliased")
    client.update_alias(FunctionName="aliased", Name="live", FunctionVersion="2")
    client.delete_function(FunctionName=f"{arn}:1")
    assert moto_adapter.find_lambda_function(f"{arn}:1", "us-east-1") is None
    assert moto_adapter.find_lambda_function(f"{arn}:live", "us-east-1").version == "2"


@pytest.mark.parametrize("name", ["permitted:live", "{arn}:live", "permitted"])
def test_a_permission_for_an_alias_is_for_nothing_else(aws, name):
    arn = create_function(aws, "permitted", SOURCE)
    client = aws.context.client("lambda")
    client.publish_version(FunctionName="permitted")
    client.create_alias(FunctionName="permitted", Name="live", FunctionVersion="1")
    client.add_permission(
        FunctionName=name.format(arn=arn),
        **({} if "live" in name else {"Qualifier": "live"}),
        StatementId="api",
        Action="lambda:InvokeFunction",
        Principal="apigateway.amazonaws.com",
    )
    policy = json.loads(moto_adapter.resource_policy(f"{arn}:live"))
    (statement,) = (each for each in policy["Statement"] if each["Sid"] == "api")
    assert statement["Resource"] == f"{arn}:live"


def test_snap_start_is_kept_shown_and_changed(aws):
    client = aws.context.client("lambda")
    on, off = {"ApplyOn": "PublishedVersions"}, {"ApplyOn": "None"}
    create_function(aws, "snap", SOURCE, SnapStart=on)

    def shown(**version: str) -> dict[str, str]:
        return client.get_function_configuration(FunctionName="snap", **version)["SnapStart"]

    assert shown() == {**on, "OptimizationStatus": "Off"}
    client.update_function_configuration(FunctionName="snap", SnapStart=off)
    assert shown() == {**off, "OptimizationStatus": "Off"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"Runtime": "python3.11"}, "python3.11 is not supported"),
        ({"EphemeralStorage": {"Size": 1024}}, "512 MB"),
    ],
)
def test_snap_start_is_refused_where_aws_does_not_have_it(aws, options, message):
    with pytest.raises(ClientError, match=message):
        create_function(
            aws, "refused", SOURCE, SnapStart={"ApplyOn": "PublishedVersions"}, **options
        )


def test_a_refused_runtime_cannot_be_created(aws, router):
    with pytest.raises(ClientError, match="refused: is not to be run"):
        create_function(aws, "refused", SOURCE, Runtime="ruby3.3")


def test_deletion_is_reported(aws, router):
    arn = create_function(aws, "deleted", SOURCE)
    aws.context.client("lambda").delete_function(FunctionName="deleted")
    assert router.deleted == [arn]


def test_layers_stay_with_the_function_when_their_version_is_deleted(aws):
    client = aws.context.client("lambda")
    content = zipped({"python/shared.py": "x = 1"})
    layer = client.publish_layer_version(LayerName="shared", Content={"ZipFile": content})
    create_function(aws, "layered", SOURCE, Layers=[layer["LayerVersionArn"]])
    client.delete_layer_version(LayerName="shared", VersionNumber=layer["Version"])
    function = moto_adapter.find_lambda_function("layered", "us-east-1")
    assert [layer.content for layer in function.layers] == [content]


def test_logging_configuration_is_kept_shown_and_changed(aws):
    client = aws.context.client("lambda")
    create_function(aws, "logging", SOURCE, LoggingConfig={"LogGroup": "/own", "LogFormat": "JSON"})
    function = moto_adapter.find_lambda_function("logging", "us-east-1")
    assert function.log_group == "/own"
    assert function.log_environment["AWS_LAMBDA_LOG_FORMAT"] == "JSON"
    client.update_function_configuration(
        FunctionName="logging",
        LoggingConfig={"LogFormat": "Text"},
        TracingConfig={"Mode": "Active"},
        EphemeralStorage={"Size": 1024},
    )
    shown = client.get_function_configuration(FunctionName="logging")
    assert shown["LoggingConfig"] == {"LogFormat": "Text", "LogGroup": "/aws/lambda/logging"}
    assert shown["TracingConfig"] == {"Mode": "Active"}
    assert shown["EphemeralStorage"] == {"Size": 1024}


@pytest.mark.parametrize(
    "change",
    [
        {"Environment": {"Variables": {"A": "2"}}},
        {"MemorySize": 256},
        {"Timeout": 5},
        {"Handler": "other.handler"},
    ],
)
def test_identity_changes_with_the_configuration(aws, change):
    name = f"identity-{next(iter(change))}"
    create_function(aws, name, SOURCE)
    before = moto_adapter.find_lambda_function(name, "us-east-1").identity
    assert moto_adapter.find_lambda_function(name, "us-east-1").identity == before
    aws.context.client("lambda").update_function_configuration(FunctionName=name, **change)
    assert moto_adapter.find_lambda_function(name, "us-east-1").identity != before


def test_log_lines_make_their_group_and_arrive(aws):
    now = int(time.time() * 1000)
    moto_adapter.put_log_lines("us-east-1", "/new", "stream", [(now, "one"), (now, "two")])
    client = aws.context.client("logs")
    events = client.get_log_events(logGroupName="/new", logStreamName="stream")["events"]
    assert [(event["timestamp"], event["message"]) for event in events] == [
        (now, "one"),
        (now, "two"),
    ]


def test_a_log_stream_keeps_its_newest_lines_and_nothing_keeps_others(aws, monkeypatch):
    monkeypatch.setattr(monitoring, "KEPT_LINES", 3)
    now = int(time.time() * 1000)
    lines = [f"line {number} of a full stream" for number in range(5)]
    moto_adapter.put_log_lines("us-east-1", "/full", "stream", [(now, line) for line in lines[:2]])
    logs = aws.context.client("logs")
    for line in lines[2:]:
        event = {"timestamp": now, "message": line}
        logs.put_log_events(logGroupName="/full", logStreamName="stream", logEvents=[event])
    events = logs.filter_log_events(logGroupName="/full")["events"]
    assert [event["message"] for event in events] == lines[2:]
    gc.collect()
    kept = {each.message for each in gc.get_objects() if isinstance(each, LogEvent)}
    assert kept.isdisjoint(lines[:2])


def test_an_unknown_function_is_not_found():
    assert moto_adapter.find_lambda_function("absent", "us-east-1") is None
