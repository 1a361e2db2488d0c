"""Functions run as on AWS: their answers, errors, environment, limits and processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from local_aws.lambda_runtime import InvocationAbandonedError
from local_aws.server import LocalAws
from tests.support.access import local_aws
from tests.support.gateway import create_function, zipped

SOURCE = """
import json, os, sys, time

COUNT = 0

def handler(event, context):
    global COUNT
    COUNT += 1
    match event.get("do"):
        case "raise":
            raise ValueError("no such answer")
        case "exit":
            os._exit(3)
        case "sleep":
            time.sleep(event["seconds"])
        case "print":
            print(event["text"])
        case "large":
            return "x" * event["size"]
        case "inspect":
            return {
                "environment": dict(os.environ),
                "modules": sorted(sys.modules),
                "arn": context.invoked_function_arn,
                "remaining": context.get_remaining_time_in_millis(),
                "directory": os.getcwd(),
            }
    return {"event": event, "pid": os.getpid(), "count": COUNT}
"""


@pytest.fixture(scope="module")
def aws(tmp_path_factory) -> Iterator[LocalAws]:
    with local_aws(tmp_path_factory.mktemp("aws")) as started:
        create_function(
            started, "plain", SOURCE, MemorySize=256, Environment={"Variables": {"OWN": "1"}}
        )
        yield started


def invoke(aws: LocalAws, name: str, event=None, **options):
    answer = aws.context.client("lambda").invoke(
        FunctionName=name, Payload=json.dumps(event or {}), **options
    )
    payload = answer["Payload"].read()
    return answer, json.loads(payload) if payload else None


def has_ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def ended(pid: int) -> bool:
    deadline = time.monotonic() + 5
    while not has_ended(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return has_ended(pid)


def test_the_event_reaches_the_handler_and_the_process_stays_warm(aws):
    _, first = invoke(aws, "plain", {"text": "Привет 👋"})
    _, second = invoke(aws, "plain")
    assert first["event"] == {"text": "Привет 👋"}
    assert second["pid"] == first["pid"]
    assert second["count"] == first["count"] + 1


def test_the_environment_is_lambdas_and_nothing_of_the_server_leaks(aws, monkeypatch):
    monkeypatch.setenv("OF_THE_SERVER", "1")
    create_function(aws, "fresh", SOURCE, MemorySize=256, Environment={"Variables": {"OWN": "1"}})
    _, seen = invoke(aws, "fresh", {"do": "inspect"})
    environment = seen["environment"]
    expected = {
        "OWN": "1",
        "AWS_REGION": "us-east-1",
        "AWS_LAMBDA_FUNCTION_NAME": "fresh",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/fresh",
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
        "AWS_ENDPOINT_URL": aws.endpoint_url,
        "_HANDLER": "handler.handler",
        "LAMBDA_TASK_ROOT": seen["directory"],
    }
    assert expected.items() <= environment.items()
    assert "OF_THE_SERVER" not in environment
    assert "HOME" not in environment
    assert seen["arn"].endswith(":function:fresh")
    assert 15_000 < seen["remaining"] <= 20_000


def test_packages_of_this_environment_cannot_be_imported_but_boto3_can(aws):
    source = """
import boto3, importlib.util
def handler(event, context):
    return {
        "boto3": boto3.client("sts").get_caller_identity()["Account"],
        "moto": importlib.util.find_spec("moto") is not None,
        "pydantic": importlib.util.find_spec("pydantic") is not None,
    }
"""
    create_function(aws, "imports", source)
    _, seen = invoke(aws, "imports")
    assert seen == {"boto3": "123456789012", "moto": False, "pydantic": False}


def test_an_exception_has_awss_shape(aws):
    answer, error = invoke(aws, "plain", {"do": "raise"})
    assert answer["FunctionError"] == "Unhandled"
    assert error["errorType"] == "ValueError"
    assert error["errorMessage"] == "no such answer"
    assert len(error["stackTrace"]) == 1
    assert 'handler.py", line 11, in handler' in error["stackTrace"][0]


@pytest.mark.parametrize(
    ("source", "kind", "message"),
    [
        ("import no_such_module", "Runtime.ImportModuleError", "No module named 'no_such_module'"),
        ("def handler(:", "Runtime.UserCodeSyntaxError", "Syntax error in module"),
        ("x = 1", "Runtime.HandlerNotFound", "Handler 'handler' missing on module 'handler'"),
        ("raise KeyError('setting')", "KeyError", "'setting'"),
        ("import sys; sys.exit(2)", "Runtime.ExitError", "exit status 2"),
    ],
)
def test_a_module_that_cannot_be_loaded_fails_each_invocation(aws, source, kind, message):
    name = f"init-{kind.replace('.', '-')}"
    create_function(aws, name, source)
    for _ in range(2):
        answer, error = invoke(aws, name)
        assert answer["FunctionError"] == "Unhandled"
        assert error["errorType"] == kind
        assert message in error["errorMessage"]


def test_a_process_that_exits_is_replaced(aws):
    _, before = invoke(aws, "plain")
    answer, error = invoke(aws, "plain", {"do": "exit"})
    assert answer["FunctionError"] == "Unhandled"
    assert error["errorType"] == "Runtime.ExitError"
    assert error["errorMessage"].endswith("Runtime exited with error: exit status 3")
    _, after = invoke(aws, "plain")
    assert after["pid"] != before["pid"]


def test_an_idle_process_that_was_killed_is_replaced(aws):
    _, before = invoke(aws, "plain")
    os.kill(before["pid"], signal.SIGKILL)
    assert ended(before["pid"])
    time.sleep(0.05)
    answer, after = invoke(aws, "plain")
    assert "FunctionError" not in answer
    assert after["pid"] != before["pid"]


def test_the_timeout_ends_the_process(aws):
    create_function(aws, "slow", SOURCE, Timeout=1)
    _, before = invoke(aws, "slow")
    answer, error = invoke(aws, "slow", {"do": "sleep", "seconds": 30})
    assert answer["FunctionError"] == "Unhandled"
    assert error["errorType"] == "Sandbox.Timedout"
    assert error["errorMessage"].endswith("Task timed out after 1.00 seconds")
    assert ended(before["pid"])


def test_a_caller_may_leave_while_the_function_runs_on(aws, tmp_path):
    source = f"""
import pathlib, time
def handler(event, context):
    time.sleep(event.get("seconds", 0))
    pathlib.Path({str(tmp_path)!r}, "done").touch()
"""
    create_function(aws, "left-alone", source)
    runtime = aws._parts["lambda_runtime"]
    runtime.invoke("left-alone", b"{}")
    (tmp_path / "done").unlink()
    with pytest.raises(InvocationAbandonedError):
        runtime.invoke("left-alone", b'{"seconds": 0.3}', wait_seconds=0.05)
    deadline = time.monotonic() + 5
    while not (tmp_path / "done").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert runtime.invoke("left-alone", b"{}").error is None


def test_simultaneous_invocations_have_a_process_each(aws):
    create_function(aws, "parallel", SOURCE)
    pids = []

    def call() -> None:
        pids.append(invoke(aws, "parallel", {"do": "sleep", "seconds": 0.5})[1]["pid"])

    threads = [threading.Thread(target=call) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(pids)) == 3


def test_reserved_concurrency_throttles(aws):
    create_function(aws, "reserved", SOURCE)
    client = aws.context.client("lambda")
    client.put_function_concurrency(FunctionName="reserved", ReservedConcurrentExecutions=0)
    with pytest.raises(client.exceptions.TooManyRequestsException) as raised:
        invoke(aws, "reserved")
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429
    client.delete_function_concurrency(FunctionName="reserved")
    assert invoke(aws, "reserved")[1]["count"] == 1


def test_new_code_and_new_configuration_bring_new_processes(aws):
    client = aws.context.client("lambda")
    create_function(aws, "changing", "import os\ndef handler(e, c): return [1, os.getpid()]")
    _, (version, first) = invoke(aws, "changing")
    new = zipped({"handler.py": "import os\ndef handler(e, c): return [2, os.environ.get('A')]"})
    client.update_function_code(FunctionName="changing", ZipFile=new)
    assert version == 1
    assert invoke(aws, "changing")[1] == [2, None]
    assert ended(first)
    client.update_function_configuration(
        FunctionName="changing", Environment={"Variables": {"A": "b"}}
    )
    assert invoke(aws, "changing")[1] == [2, "b"]


def test_deleting_a_function_ends_its_processes(aws):
    create_function(aws, "doomed", SOURCE)
    _, seen = invoke(aws, "doomed")
    client = aws.context.client("lambda")
    client.delete_function(FunctionName="doomed")
    assert ended(seen["pid"])
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        invoke(aws, "doomed")


def test_requests_over_6_mb_are_refused(aws):
    client = aws.context.client("lambda")
    with pytest.raises(ClientError) as raised:
        invoke(aws, "plain", {"text": "x" * 6_291_457})
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 413
    assert raised.value.response["Error"]["Code"] == "RequestEntityTooLargeException"
    with pytest.raises(ClientError) as raised:
        client.invoke(FunctionName="plain", Payload=b"{not json")
    assert raised.value.response["Error"]["Code"] == "InvalidRequestContentException"


def test_answers_over_6_mb_are_errors(aws):
    answer, text = invoke(aws, "plain", {"do": "large", "size": 6_291_000})
    assert "FunctionError" not in answer
    assert len(text) == 6_291_000
    answer, error = invoke(aws, "plain", {"do": "large", "size": 6_291_600})
    assert answer["FunctionError"] == "Unhandled"
    assert error["errorType"] == "Function.ResponseSizeTooLarge"


def test_printed_lines_are_in_the_file_and_in_cloudwatch_logs(aws):
    answer, _ = invoke(aws, "plain", {"do": "print", "text": "found me"})
    request_id = answer["ResponseMetadata"]["RequestId"]
    file = aws.context.state_dir / "logs" / "lambda" / "plain.log"
    *_, start, text, end, report = file.read_text(encoding="utf-8").splitlines()
    assert start.startswith(f"START RequestId: {request_id} ")
    assert text == "found me"
    assert end == f"END RequestId: {request_id}"
    assert report.startswith(f"REPORT RequestId: {request_id}\t")
    events = aws.context.client("logs").filter_log_events(logGroupName="/aws/lambda/plain")
    assert "found me" in [event["message"] for event in events["events"]]


def test_events_are_taken_at_once_and_repeated_when_they_fail(aws, tmp_path, monkeypatch):
    monkeypatch.setattr("local_aws.lambda_runtime.runtime._EVENT_RETRY_SECONDS", (0.01, 0.01))
    source = f"""
import pathlib
def handler(event, context):
    with open({str(tmp_path / "calls")!r}, "a") as file:
        file.write("x")
    raise ValueError("again")
"""
    create_function(aws, "event", source)
    answer, payload = invoke(aws, "event", InvocationType="Event")
    assert (answer["StatusCode"], payload) == (202, None)
    calls = tmp_path / "calls"
    deadline = time.monotonic() + 5
    while not calls.exists() or calls.read_text() != "xxx":
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.1)
    assert calls.read_text() == "xxx"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"Runtime": "nodejs22.x"}, "unwanted: the local AWS does not run runtime nodejs22.x"),
        (
            {"PackageType": "Image", "Code": {"ImageUri": "a:b"}},
            "unwanted: the local AWS does not run package type Image",
        ),
    ],
)
def test_functions_that_cannot_run_are_refused_by_name(aws, options, message):
    with pytest.raises(ClientError, match=message):
        create_function(aws, "unwanted", SOURCE, **options)


def test_a_warm_invocation_costs_less_than_3_ms(aws):
    runtime = aws._parts["lambda_runtime"]
    times = []
    for _ in range(101):
        began = time.perf_counter()
        runtime.invoke("plain", b"{}")
        times.append(time.perf_counter() - began)
    # The quicker ones, because the machine does other things, too.
    assert sorted(times)[20] < 0.003


def test_stopping_ends_every_process_and_what_it_started(tmp_path):
    source = """
import os, subprocess
child = subprocess.Popen(["sleep", "60"])
def handler(event, context):
    return [os.getpid(), child.pid]
"""
    with local_aws(tmp_path) as aws:
        create_function(aws, "stopping", source)
        _, pids = invoke(aws, "stopping")
    assert all(ended(pid) for pid in pids)


def test_processes_end_with_a_server_that_is_killed(tmp_path):
    (tmp_path / "handler.py").write_text(
        "import os, pathlib, subprocess\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        "pathlib.Path('pids').write_text(f'[{os.getpid()}, {child.pid}]')\n"
        "def handler(event, context): ...\n"
    )
    script = f"""
import time
from pathlib import Path
from local_aws.lambda_runtime.logs import FunctionLog
from local_aws.lambda_runtime.packages import Packages
from local_aws.lambda_runtime.process import WorkerProcess
folder = Path({str(tmp_path)!r})
site = Packages(folder).site()
environment = {{"PATH": "/bin:/usr/bin", "PYTHONPATH": f"{{folder}}:{{site}}"}}
log = FunctionLog(folder / "log", lambda lines: None)
worker = WorkerProcess("handler.handler", folder, environment, site, log)
print(worker.start(30), flush=True)
time.sleep(60)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    server = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, env=environment, text=True
    )
    assert server.stdout.readline() == "None\n"
    pids = json.loads((tmp_path / "pids").read_text())
    assert not any(has_ended(pid) for pid in pids)
    server.kill()
    server.wait()
    server.stdout.close()
    assert all(ended(pid) for pid in pids)


SNAPSHOT = """
import json, os, random
import boto3
from snapshot_restore_py import register_after_restore, register_before_snapshot

HAPPENED = ["imported"]
KEY = boto3.Session().get_credentials()
KEY.get_frozen_credentials()
NUMBER = random.random()

@register_before_snapshot
def before():
    HAPPENED.append("snapshot")

@register_after_restore
def after():
    HAPPENED.append("restored")

def handler(event, context):
    if event == "old":
        key = KEY.get_frozen_credentials()
        boto3.client("sts", aws_access_key_id=key.access_key, aws_secret_access_key=key.secret_key,
                     aws_session_token=key.token).get_caller_identity()
    found = boto3.Session().client("sts").get_caller_identity()
    return {
        "happened": HAPPENED,
        "arn": found["Arn"],
        "environment": dict(os.environ),
        "invoked": context.invoked_function_arn,
        "pid": os.getpid(),
    }
"""


@pytest.fixture
def restored(aws) -> str:
    """The ARN of an alias of a version with a snapshot."""
    arn = create_function(aws, "restored", SNAPSHOT, SnapStart={"ApplyOn": "PublishedVersions"})
    publish(aws, "restored")
    client = aws.context.client("lambda")
    client.create_alias(FunctionName="restored", Name="live", FunctionVersion="1")
    return f"{arn}:live"


def publish(aws: LocalAws, name: str) -> dict:
    """The state of a function's newest version, once it has one."""
    client = aws.context.client("lambda")
    arn = client.publish_version(FunctionName=name)["FunctionArn"]
    for _ in range(600):
        found = client.get_function_configuration(FunctionName=arn)
        if found["State"] != "Pending":
            break
        time.sleep(0.05)
    return found


def test_a_version_with_snap_start_is_imported_before_it_is_restored(aws, restored):
    client = aws.context.client("lambda")
    shown = client.get_function_configuration(FunctionName=restored)
    assert (shown["State"], shown["SnapStart"]["OptimizationStatus"]) == ("Active", "On")
    _, first = invoke(aws, restored)
    _, second = invoke(aws, restored)
    assert first["happened"] == ["imported", "snapshot", "restored"]
    assert second == {**first, "environment": second["environment"]}
    assert first["invoked"] == restored
    assert first["environment"]["AWS_LAMBDA_INITIALIZATION_TYPE"] == "snap-start"
    assert first["environment"]["AWS_LAMBDA_FUNCTION_VERSION"] == "1"
    assert "AWS_ACCESS_KEY_ID" not in first["environment"]
    assert first["arn"].endswith("assumed-role/function/restored")


def test_credentials_of_the_import_end_with_the_restore(aws, restored):
    answer, error = invoke(aws, restored, "old")
    assert answer["FunctionError"] == "Unhandled"
    assert "InvalidClientTokenId" in error["errorMessage"]


def test_the_setting_has_no_effect_on_what_is_not_published(aws, restored):
    _, found = invoke(aws, "restored")
    assert found["happened"] == ["imported"]
    assert "AWS_ACCESS_KEY_ID" in found["environment"]


def test_a_version_that_cannot_be_imported_fails_and_cannot_be_called(aws):
    create_function(
        aws, "broken", "import nothing_such", SnapStart={"ApplyOn": "PublishedVersions"}
    )
    found = publish(aws, "broken")
    assert found["State"] == "Failed"
    assert "nothing_such" in found["StateReason"]
    client = aws.context.client("lambda")
    with pytest.raises(client.exceptions.ResourceConflictException, match="Failed"):
        client.invoke(FunctionName="broken", Qualifier="1")


def test_a_hook_that_fails_after_the_restore_fails_the_invocation(aws):
    source = """
from snapshot_restore_py import register_after_restore

@register_after_restore
def after():
    raise ValueError("not restored")

def handler(event, context):
    return 1
"""
    create_function(aws, "unrestored", source, SnapStart={"ApplyOn": "PublishedVersions"})
    assert publish(aws, "unrestored")["State"] == "Active"
    answer, error = invoke(aws, "unrestored:1")
    assert answer["FunctionError"] == "Unhandled"
    assert "not restored" in error["errorMessage"]
