"""A model server with several worker processes, as set by the environment."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from local_aws.sagemaker.instance import Instance
from tests.support.sagemaker import MakeInstance, is_alive, wait_until

# Records each load; answers, after a wait, with the processes that loaded and that answer.
PROGRAM = """
import json, os, signal, time
from pathlib import Path

LOADS = Path(os.environ["LOADS"])

def model_fn(model_dir):
    with LOADS.open("a") as loads:
        first = not loads.tell()
        loads.write(f"{os.getpid()}\\n")
    if first:
        time.sleep(float(os.environ.get("FIRST_LOAD", "0")))
    if os.environ.get("BROKEN"):
        raise ValueError("no weights")
    if os.environ.get("KILLED"):
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()

def transform_fn(model, data, content_type, accept):
    asked = json.loads(data)
    time.sleep(asked.get("sleep", 0))
    if "kill" in asked:
        os.kill(os.getpid(), asked["kill"])
    if "exit" in asked:
        os._exit(asked["exit"])
    return json.dumps({"n": asked.get("n"), "loaded": model, "answers": os.getpid(),
                       "threads": os.environ.get("OMP_NUM_THREADS")})
"""
Make = Callable[..., Instance]


@pytest.fixture
def loads(tmp_path: Path) -> Path:
    return tmp_path / "loads"


@pytest.fixture
def make(make_instance: MakeInstance, loads: Path) -> Make:
    def build(workers: int = 3, *, preload: bool = False, **environment: str) -> Instance:
        settings = {
            "LOADS": str(loads),
            "SAGEMAKER_MODEL_SERVER_WORKERS": str(workers),
            "MMS_PRELOAD_MODEL": "true" if preload else "false",
        }
        return make_instance(PROGRAM, **{**settings, **environment})

    return build


def ask(instance: Instance, **body: Any) -> tuple[int, Any]:
    answer = instance.post(json.dumps(body).encode(), {"Content-Type": "application/json"}, 10)
    return answer.status, json.loads(answer.data)


def ask_at_once(instance: Instance, count: int, **body: Any) -> list[tuple[int, Any]]:
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda n: ask(instance, n=n, **body), range(count)))


def processes(loads: Path) -> list[int]:
    return [int(line) for line in loads.read_text().split()]


def test_each_worker_loads_the_model_and_serves_one_request(make: Make, loads: Path) -> None:
    instance = make()
    assert instance.start()
    began = time.monotonic()
    answers = ask_at_once(instance, 3, sleep=0.3)
    assert time.monotonic() - began < 0.8
    assert [(status, found["n"]) for status, found in answers] == [(200, 0), (200, 1), (200, 2)]
    assert {found["answers"] for _, found in answers} == set(processes(loads))
    assert all(found["answers"] == found["loaded"] for _, found in answers)
    assert len(set(processes(loads))) == 3


def test_a_preloaded_model_is_loaded_once_and_found_by_all(make: Make, loads: Path) -> None:
    instance = make(preload=True)
    assert instance.start()
    answers = ask_at_once(instance, 3, sleep=0.3)
    (parent,) = processes(loads)
    assert {found["loaded"] for _, found in answers} == {parent}
    assert len({found["answers"] for _, found in answers} - {parent}) == 3


def test_requests_beyond_the_workers_wait_for_their_answers(make: Make) -> None:
    instance = make(2, preload=True)
    assert instance.start()
    answers = ask_at_once(instance, 40, sleep=0.002)
    assert [(status, found["n"]) for status, found in answers] == [(200, n) for n in range(40)]


@pytest.mark.parametrize(("given", "seen"), [({}, "1"), ({"OMP_NUM_THREADS": "7"}, "7")])
def test_a_worker_computes_with_one_thread_by_default(
    make: Make, given: dict[str, str], seen: str
) -> None:
    instance = make(1, **given)
    assert instance.start()
    assert ask(instance)[1]["threads"] == seen


@pytest.mark.parametrize("preload", [False, True])
def test_a_worker_that_is_killed_is_replaced_and_only_its_request_fails(
    make: Make, loads: Path, preload: bool
) -> None:
    instance = make(2, preload=preload)
    assert instance.start()
    with ThreadPoolExecutor(1) as pool:
        neighbour = pool.submit(ask, instance, n="neighbour", sleep=0.4)
        time.sleep(0.1)
        status, error = ask(instance, kill=signal.SIGKILL)
        assert (status, error["code"], error["message"]) == (500, 500, "Worker died.")
        answered = neighbour.result()
    assert (answered[0], answered[1]["n"]) == (200, "neighbour")
    answers = ask_at_once(instance, 2, sleep=0.3)
    assert len({found["answers"] for _, found in answers}) == 2
    assert len(processes(loads)) == (1 if preload else 3)
    assert not instance.has_ended


def test_an_idle_worker_that_is_killed_costs_no_request(make: Make) -> None:
    instance = make(2, preload=True)
    assert instance.start()
    before = {found["answers"] for _, found in ask_at_once(instance, 2, sleep=0.2)}
    killed = min(before)
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: not is_alive(killed))
    time.sleep(0.1)  # its parent notices a moment later
    after = ask_at_once(instance, 6, sleep=0.1)
    assert {status for status, _ in after} == {200}
    assert len({found["answers"] for _, found in after} - before) == 1


@pytest.mark.parametrize("preload", [False, True])
def test_a_worker_that_exits_ends_the_server_and_all_of_it(make: Make, preload: bool) -> None:
    instance = make(2, preload=preload)
    assert instance.start()
    family = {found["answers"] for _, found in ask_at_once(instance, 2, sleep=0.2)}
    with pytest.raises(Exception, match=r"Connection (aborted|refused)"):
        ask(instance, exit=3)
    wait_until(lambda: instance.has_ended)
    wait_until(lambda: not any(is_alive(pid) for pid in family))
    wait_until(lambda: instance.healthy)
    assert ask(instance, n=1)[0] == 200


@pytest.mark.parametrize("preload", [False, True])
def test_a_load_that_fails_is_every_requests_error(make: Make, preload: bool) -> None:
    instance = make(2, preload=preload, BROKEN="1")
    assert instance.start()
    for status, error in ask_at_once(instance, 4):
        assert (status, error["message"]) == (400, "no weights")


@pytest.mark.parametrize("preload", [False, True])
def test_a_load_that_is_killed_ends_the_server(make: Make, preload: bool) -> None:
    instance = make(2, preload=preload, KILLED="1")
    if instance.start():  # it may be up for a moment
        wait_until(lambda: instance.has_ended)


@pytest.mark.parametrize("preload", [False, True])
def test_a_worker_that_loads_for_too_long_is_given_up(
    make: Make, loads: Path, preload: bool
) -> None:
    """The first load takes longer than the limit, so others begin meanwhile."""
    instance = make(
        1, preload=preload, FIRST_LOAD="1.5", SAGEMAKER_MODEL_SERVER_TIMEOUT_SECONDS="0.5"
    )
    assert instance.start()
    status, found = ask(instance)
    assert status == 200
    assert len(processes(loads)) == (1 if preload else 2)
    assert (found["loaded"] == processes(loads)[0]) is preload
    time.sleep(1.5)  # the first one notices
    assert ask(instance)[0] == 200
    assert not instance.has_ended


def test_a_worker_that_answers_too_late_is_given_up(make: Make) -> None:
    instance = make(1, SAGEMAKER_MODEL_SERVER_TIMEOUT_SECONDS="0.5")
    assert instance.start()
    before = ask(instance)[1]["answers"]
    status, error = ask(instance, sleep=1)
    assert (status, error["message"]) == (500, "Worker died.")
    status, found = ask(instance)
    assert status == 200
    assert found["answers"] != before


def test_few_requests_wait_if_the_queue_is_short(make: Make) -> None:
    instance = make(2, MMS_JOB_QUEUE_SIZE="3")
    assert instance.start()
    ask_at_once(instance, 2, sleep=0.2)
    statuses = sorted(status for status, _ in ask_at_once(instance, 9, sleep=0.5))
    assert statuses == [200] * 5 + [503] * 4


def test_close_leaves_no_process(make: Make) -> None:
    instance = make(3, preload=True)
    assert instance.start()
    family = {found["answers"] for _, found in ask_at_once(instance, 3, sleep=0.2)}
    instance.close()
    assert not any(is_alive(pid) for pid in family)
