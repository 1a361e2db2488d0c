"""Endpoints: real processes that load real code and answer."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError

from local_aws.sagemaker import runtime
from local_aws.server import LocalAws
from tests.support.sagemaker import (
    Workbench,
    await_endpoint,
    invoke,
    wait_until,
)


def failure(aws: LocalAws, name: str, body: Any = None) -> dict[str, Any]:
    with pytest.raises(ClientError) as raised:
        invoke(aws, name, body)
    return raised.value.response


def test_an_endpoint_serves_its_models_code(aws: LocalAws, workbench: Workbench) -> None:
    name = workbench.create(GREETING="good day")
    found = await_endpoint(workbench.sagemaker, name)
    assert found["EndpointStatus"] == "InService"
    assert found["EndpointArn"].endswith(f"endpoint/{name.lower()}")
    assert found["ProductionVariants"][0]["CurrentInstanceCount"] == 1
    answer = aws.context.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=name, Body=b"{}", ContentType="application/json"
    )
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    assert answer["ContentType"] == "application/json"
    assert json.loads(answer["Body"].read())["greeting"] == "good day"


@pytest.mark.parametrize(
    ("content_type", "kind"),
    [
        ("application/json", "str"),
        ("text/csv", "str"),
        ("application/json; charset=utf-8", "bytearray"),
        ("application/jsonlines", "bytearray"),
    ],
)
def test_bodies_are_text_or_bytes_as_the_real_server_has_them(
    aws: LocalAws, echo: str, content_type: str, kind: str
) -> None:
    answer = invoke(aws, echo, ContentType=content_type)
    assert (answer["type"], answer["content_type"]) == (kind, content_type)


@pytest.mark.parametrize(
    ("accept", "seen"),
    [("*/*", "application/json"), ("text/csv", "text/csv"), ("a/b, */*", "a/b, */*")],
)
def test_accept_is_echoed(aws: LocalAws, echo: str, accept: str, seen: str) -> None:
    answer = aws.context.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=echo, Body=b"{}", ContentType="application/json", Accept=accept
    )
    assert answer["ContentType"] == seen
    assert json.loads(answer["Body"].read())["accept"] == seen


@pytest.fixture(scope="module")
def echo(aws: LocalAws) -> Iterator[str]:
    with Workbench(aws) as bench:
        name = bench.create()
        await_endpoint(bench.sagemaker, name)
        yield name


def test_names_of_endpoints_differ_by_more_than_case(
    sagemaker: BaseClient, workbench: Workbench, echo: str
) -> None:
    assert sagemaker.describe_endpoint(EndpointName=echo.lower())["EndpointName"] == echo
    with pytest.raises(ClientError, match="Cannot create already existing endpoint"):
        sagemaker.create_endpoint(
            EndpointName=echo.upper(), EndpointConfigName=workbench.configure()
        )


def test_an_error_of_the_model_is_a_model_error(aws: LocalAws, echo: str) -> None:
    response = failure(aws, echo, {"fail": "invalid_request: no <queries>"})
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert response["Error"]["Code"] == "ModelError"
    assert response["OriginalStatusCode"] == 400
    assert json.loads(response["OriginalMessage"]) == {
        "code": 400,
        "type": "InternalServerException",
        "message": "invalid_request: no <queries>",
    }
    assert response["LogStreamArn"].endswith(f"/aws/sagemaker/Endpoints/{echo}")


def test_an_unknown_endpoint_is_a_validation_error(aws: LocalAws) -> None:
    response = failure(aws, "nobody")
    assert response["Error"] == {
        "Code": "ValidationError",
        "Message": "Endpoint nobody of account 123456789012 not found.",
    }
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 400


def test_sizes_are_limited_as_on_the_real_server(aws: LocalAws, echo: str) -> None:
    response = failure(aws, echo, {"big": 6_553_501})
    assert response["OriginalStatusCode"] == 500
    assert len(invoke_raw(aws, echo, {"big": 6_000_000})) == 6_000_000
    response = failure(aws, echo, {"x": "y" * 6_291_456})
    assert response["Error"]["Code"] == "ValidationError"
    assert "less than or equal to 6291456" in response["Error"]["Message"]


def test_limits_can_be_raised_by_the_models_environment(
    aws: LocalAws, workbench: Workbench
) -> None:
    name = workbench.create(MMS_MAX_RESPONSE_SIZE="8000000")
    await_endpoint(workbench.sagemaker, name)
    assert len(invoke_raw(aws, name, {"big": 7_000_000})) == 7_000_000


def invoke_raw(aws: LocalAws, name: str, body: Any) -> bytes:
    answer = aws.context.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=name, Body=json.dumps(body), ContentType="application/json"
    )
    return answer["Body"].read()


def test_the_container_sees_only_its_own_environment(aws: LocalAws, workbench: Workbench) -> None:
    program = """
import json, os, sys
def model_fn(model_dir):
    return model_dir
def transform_fn(model, *request):
    return json.dumps({"env": dict(os.environ), "path": sys.path, "dir": model})
"""
    name = workbench.create(program, PLACE="/opt/ml/model/code")
    await_endpoint(workbench.sagemaker, name)
    seen = invoke(aws, name)
    assert seen["env"]["PLACE"] == f"{seen['env']['SAGEMAKER_BASE_DIR']}/model/code"
    assert seen["dir"] == f"{seen['env']['SAGEMAKER_BASE_DIR']}/model"
    assert not {key for key in seen["env"] if key.startswith(("AWS_", "PYTEST", "VIRTUAL"))}
    assert str(Path(runtime.__file__).parent) not in seen["path"]
    assert str(Path.cwd()) not in seen["path"]


def test_a_model_that_does_not_load_answers_ping_and_no_request(
    aws: LocalAws, workbench: Workbench
) -> None:
    name = workbench.create(
        "def model_fn(d):\n    raise ValueError('no weights')\n" + "\ndef transform_fn(*a): pass\n"
    )
    assert await_endpoint(workbench.sagemaker, name)["EndpointStatus"] == "InService"
    assert json.loads(failure(aws, name)["OriginalMessage"])["message"] == "no weights"


@pytest.mark.parametrize(
    "ending",
    ["os._exit(3)", "os.kill(os.getppid(), signal.SIGTERM); time.sleep(9)"],
)
def test_a_container_that_ends_fails_the_endpoint_at_once(
    aws: LocalAws, workbench: Workbench, ending: str
) -> None:
    site = f"""
import os, signal, sys, time
if sys.orig_argv[2].endswith("model_service_worker.py"):
    print("the artifact is broken", flush=True)
    {ending}
"""
    began = time.monotonic()
    name = workbench.create(site=site)
    found = await_endpoint(workbench.sagemaker, name)
    assert time.monotonic() - began < 4
    assert found["EndpointStatus"] == "Failed"
    assert found["FailureReason"].startswith(
        "The primary container for production variant AllTraffic did not pass the ping health "
        "check. Please check CloudWatch logs for this endpoint."
    )
    assert "its last line: the artifact is broken" in found["FailureReason"]
    assert failure(aws, name)["Error"]["Code"] == "ValidationError"


def test_the_configuration_and_model_may_go_while_the_endpoint_serves(
    aws: LocalAws, workbench: Workbench
) -> None:
    name = workbench.create()
    config = await_endpoint(workbench.sagemaker, name)["EndpointConfigName"]
    workbench.sagemaker.delete_endpoint_config(EndpointConfigName=config)
    workbench.sagemaker.delete_model(ModelName=config)
    os.killpg(workbench.pid(name), signal.SIGKILL)
    wait_until(lambda: serves(aws, name))


def serves(aws: LocalAws, name: str) -> bool:
    try:
        invoke(aws, name)
    except ClientError:
        return False
    return True


def test_a_server_that_dies_is_replaced(aws: LocalAws, workbench: Workbench) -> None:
    name = workbench.create()
    await_endpoint(workbench.sagemaker, name)
    response = failure(aws, name, {"exit": 1})
    assert (response["Error"]["Code"], response["OriginalStatusCode"]) == ("ModelError", 500)
    response = failure(aws, name)
    assert response["Error"]["Code"] == "ServiceUnavailable"
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 503
    wait_until(lambda: serves(aws, name))
    found = workbench.sagemaker.describe_endpoint(EndpointName=name)
    assert found["EndpointStatus"] == "InService"


def test_a_server_that_hangs_is_a_model_error(
    aws: LocalAws, workbench: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "INVOCATION_TIMEOUT_SECONDS", 0.3)
    name = workbench.create()
    await_endpoint(workbench.sagemaker, name)
    os.killpg(workbench.pid(name), signal.SIGSTOP)
    time.sleep(0.2)  # a busy machine stops the last of the threads a little later
    response = failure(aws, name)
    os.killpg(workbench.pid(name), signal.SIGCONT)
    assert (response["Error"]["Code"], response["OriginalStatusCode"]) == ("ModelError", 0)
    assert "timed out while waiting" in response["OriginalMessage"]
    wait_until(lambda: serves(aws, name))


def test_a_start_that_takes_too_long_fails(workbench: Workbench, aws: LocalAws) -> None:
    # SageMaker's minimum is a minute; only the end of the process is quick.
    name = workbench.create(site="import time\ntime.sleep(60)")
    time.sleep(0.3)
    assert workbench.sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"] == "Creating"
    assert failure(aws, name)["Error"]["Code"] == "ValidationError"
    with pytest.raises(ClientError, match="Cannot update in-progress endpoint"):
        workbench.sagemaker.update_endpoint(
            EndpointName=name, EndpointConfigName=workbench.configure()
        )


def test_endpoints_share_one_unpacked_artifact_and_leave_none(
    aws: LocalAws, workbench: Workbench
) -> None:
    cache = aws.context.state_dir / "sagemaker" / "model-data"
    before = set(cache.iterdir()) if cache.exists() else set()
    config = workbench.configure()
    names = [f"shared-{uuid4().hex[:8]}" for _ in range(2)]
    for name in names:
        workbench.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
    for name in names:
        await_endpoint(workbench.sagemaker, name)
    assert len(set(cache.iterdir()) - before) == 1
    for name in names:
        workbench.sagemaker.delete_endpoint(EndpointName=name)
        assert not workbench.folder(name).exists()
    # An endpoint of an earlier test may disappear meanwhile.
    assert not set(cache.iterdir()) - before


def test_traffic_is_shared_by_weight_or_goes_where_it_is_sent(
    aws: LocalAws, workbench: Workbench
) -> None:
    models = [workbench.configure(GREETING=greeting) for greeting in ("one", "two")]
    workbench.sagemaker.create_endpoint_config(
        EndpointConfigName=f"both-{models[0]}",
        ProductionVariants=[
            {
                "VariantName": model,
                "ModelName": model,
                "InstanceType": "ml.c6i.xlarge",
                "InitialInstanceCount": 1,
                "InitialVariantWeight": weight,
            }
            for model, weight in zip(models, (1.0, 0.0), strict=True)
        ],
    )
    name = f"two-{uuid4().hex[:8]}"
    workbench.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=f"both-{models[0]}")
    workbench.names.append(name)
    await_endpoint(workbench.sagemaker, name)
    assert {invoke(aws, name)["greeting"] for _ in range(8)} == {"one"}


def test_endpoints_are_listed_by_status(workbench: Workbench) -> None:
    name = workbench.create()
    await_endpoint(workbench.sagemaker, name)
    listed = workbench.sagemaker.list_endpoints(NameContains=name[2:], StatusEquals="InService")
    assert [item["EndpointName"] for item in listed["Endpoints"]] == [name]
    listed = workbench.sagemaker.list_endpoints(NameContains=name[2:], StatusEquals="Failed")
    assert listed["Endpoints"] == []


def test_the_log_is_kept_where_the_failure_says(workbench: Workbench) -> None:
    name = workbench.create(site="import os\nprint('why it ended', flush=True)\nos._exit(1)")
    reason = await_endpoint(workbench.sagemaker, name)["FailureReason"]
    path = re.search(r"\(Here: (\S+\.log);", reason)
    assert path is not None
    workbench.sagemaker.delete_endpoint(EndpointName=name)
    workbench.names.remove(name)
    assert "why it ended" in Path(path[1]).read_text()
