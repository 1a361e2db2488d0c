"""One model server without an endpoint."""

from __future__ import annotations

import json
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from local_aws.sagemaker import model_server
from local_aws.sagemaker.instance import Instance, NotAnsweringError
from tests.support.access import local_aws
from tests.support.sagemaker import (
    BUCKET,
    ECHO,
    MakeInstance,
    is_alive,
    put_config,
    put_model,
    wait_until,
)

# Begins code for the process from which the server forks its workers.
IN_PARENT = "import sys\nif sys.orig_argv[2].endswith('model_service_worker.py'):\n"


def post(instance: Instance, body: bytes, **headers: str) -> tuple[int, Any]:
    answer = instance.post(body, {"Content-Type": "application/json", **headers}, 10)
    return answer.status, json.loads(answer.data) if answer.data else None


def test_requests_over_the_limit_get_413_with_an_empty_body(make_instance: MakeInstance) -> None:
    instance = make_instance()
    assert instance.start()
    assert post(instance, b" " * 6_553_498 + b"{}")[0] == 200
    assert post(instance, b" " * 6_553_499 + b"{}") == (413, None)
    assert post(instance, b"{}")[0] == 200


def test_the_limit_of_requests_can_be_raised(make_instance: MakeInstance) -> None:
    instance = make_instance(SAGEMAKER_MAX_PAYLOAD_IN_MB="20")
    assert instance.start()
    assert post(instance, b" " * 10_000_000 + b"{}")[0] == 200


def test_a_request_without_a_content_type_is_bytes(make_instance: MakeInstance) -> None:
    instance = make_instance()
    assert instance.start()
    answer = json.loads(instance.post(b"{}", {}, 10).data)
    assert (answer["type"], answer["content_type"]) == ("bytearray", None)


def test_an_instance_that_starts_too_slowly_is_not_healthy(make_instance: MakeInstance) -> None:
    instance = make_instance(site=f"{IN_PARENT}    import time\n    time.sleep(60)", timeout=0.4)
    began = time.monotonic()
    assert not instance.start()
    assert 0.4 <= time.monotonic() - began < 3
    with pytest.raises(NotAnsweringError):
        instance.post(b"{}", {}, 1)


def test_it_is_healthy_before_the_model_has_loaded(make_instance: MakeInstance) -> None:
    """As with the real server; requests wait for the load."""
    instance = make_instance(f"import time\ntime.sleep(1.5)\n{ECHO}")
    began = time.monotonic()
    assert instance.start()
    assert time.monotonic() - began < 1.5
    assert post(instance, b"{}")[0] == 200
    assert time.monotonic() - began > 1.5


def test_what_runs_while_its_python_starts_comes_first(make_instance: MakeInstance) -> None:
    slowly = "    import os, time\n    time.sleep(1)\n    os.environ['GREETING'] = 'hi'\n"
    instance = make_instance(site=IN_PARENT + slowly)
    began = time.monotonic()
    assert instance.start()
    assert time.monotonic() - began > 1
    assert post(instance, b"{}")[1]["greeting"] == "hi"


def test_after_a_minute_it_goes_on_without_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_server, "_START_SECONDS", 0.01)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        workers = model_server.Workers(ours, 1, 1)
        workers.start(1)
        status, answer = workers.handle(b"{}", "application/json", "application/json")
    assert (status, json.loads(answer)["message"]) == (400, "Parameter model_name is required.")


def test_one_request_at_a_time_reaches_the_model(make_instance: MakeInstance) -> None:
    instance = make_instance()
    assert instance.start()
    began = time.monotonic()
    threads = [threading.Thread(target=post, args=(instance, b'{"sleep": 0.2}')) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - began >= 0.6


def test_close_removes_the_folder_and_keeps_the_log(make_instance: MakeInstance) -> None:
    instance = make_instance(f"print('loaded')\n{ECHO}")
    assert instance.start()
    assert post(instance, b"{}")[0] == 200
    assert (instance.plan.folder / "pid").exists()
    instance.close()
    assert not instance.plan.folder.exists()
    assert instance.plan.log.read_text() == "loaded\n"


def test_the_local_aws_leaves_no_process_of_sagemaker_behind(tmp_path: Path) -> None:
    with local_aws(tmp_path) as aws:
        sagemaker = aws.context.client("sagemaker")
        s3 = aws.context.client("s3")
        s3.create_bucket(Bucket=BUCKET)
        put_model(s3, sagemaker, "model")
        put_config(sagemaker, "config", "model")
        for name in ("one", "two"):
            sagemaker.create_endpoint(EndpointName=name, EndpointConfigName="config")
        pids = wait_until(
            lambda: (
                len(found := list(tmp_path.glob("sagemaker/endpoints/*/*/pid"))) == 2
                and [int(path.read_text()) for path in found]
            )
        )
    assert not [pid for pid in pids if is_alive(pid)]
