"""Every detector of the campaign: what is wrong is found, and what is right is not."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from container.errors import InvalidRequestError
from tests.attack import (
    artifacts,
    bakes,
    bodies,
    campaign,
    deployments,
    garbage,
    kills,
    memory,
    raw_http,
    verdicts,
)
from tests.attack.campaign import Campaign, Part
from tests.attack.raw_http import Hostile
from tests.end_to_end.local_app import LocalApp
from tests.end_to_end.traffic import Traffic

REFUSAL = json.dumps({"code": "invalid_request", "message": "No."}).encode()


@pytest.mark.parametrize(
    ("status", "code", "found"),
    [
        (200, "", 0),
        (400, "invalid_request", 0),
        (503, "model_unavailable", 0),
        (504, "time_out", 0),
        (500, "internal_error", 1),
        (502, "model_error", 1),
        (503, "", 1),
        (504, "model_unavailable", 1),
    ],
)
def test_a_5xx_must_be_a_documented_one(status, code, found):
    for content in ({"code": code}, {"error": {"code": code}}):
        assert len(verdicts.server_error(status, json.dumps(content).encode())) == found


@pytest.mark.parametrize(
    ("content", "media_type", "word"),
    [
        (b"<!DOCTYPE html><p>Oops", "application/json", "HTML"),
        (b'{"a": 1}', "text/html; charset=utf-8", "HTML"),
        (b'"Traceback (most recent call last)"', "application/json", "traceback"),
        (b'{"score": NaN}', "application/json", "NaN"),
        (b'{"score": -Infinity}', "application/json", "Infinity"),
        (b'{"a": "\xff"}', "application/json", "not JSON"),
        (b"[" * 100_000, "application/json", "not JSON"),
        (b"", "application/json", "not JSON"),
    ],
)
def test_an_answer_must_be_json(content, media_type, word):
    assert word in " ".join(verdicts.not_json(content, media_type))
    assert not verdicts.not_json(b'{"a": [1, null]}', "application/json")


def test_an_answer_holds_no_secret_and_nothing_of_others():
    own, others = verdicts.token(7), verdicts.token(8)
    assert not verdicts.leaks(f"No model {own}".encode(), ["s3cret", ""], 7)
    assert verdicts.leaks(f"No model {others}".encode(), [], 7)
    assert verdicts.leaks(b"the key s3cret", ["s3cret"], 7)


def test_an_error_says_what_is_wrong():
    right = {"code": "time_out", "message": "No endpoint answered in time."}
    for status, content, wrong in (
        *((200, {}, False), (504, right, False), (400, {"error": right}, False)),
        *((400, {}, True), (400, {"code": "x", "message": "No."}, True), (400, [], True)),
    ):
        assert bool(verdicts.no_sentence(status, json.dumps(content).encode())) == wrong


def test_only_a_refusal_keeps_the_door_shut():
    assert not verdicts.open_door(401) and not verdicts.open_door(403)
    assert verdicts.open_door(200) and verdicts.open_door(404)


def answer(status: int, body: bytes = REFUSAL, media_type: str = "application/json") -> bytes:
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


@pytest.mark.parametrize(
    ("form", "content", "word"),
    [
        (Hostile("x", b"GET / HTTP/1.1\r\n"), None, "no end"),
        (Hostile("x", b"GET / HTTP/1.1\r\n"), b"", "no answer"),
        (Hostile("x", b"GET / HTTP/1.1\r\n"), b"What?", "not an HTTP answer"),
        (Hostile("x", b"GET / HTTP/1.1\r\n"), answer(200) + answer(200), "2 answers"),
        (Hostile("x", b"GET / HTTP/1.1\r\n"), answer(500), "500"),
        (Hostile("x", b"GET / HTTP/1.1\r\n"), answer(400, b"<html>"), "HTML"),
        (Hostile("x", b"GET / HTTP/1.1\r\n", statuses=(403,)), answer(200), "200, expected"),
        (Hostile("x", b"GET / HTTP/1.1\r\n"), answer(400, b'{"m": "s3cret"}'), "a secret"),
    ],
)
def test_what_comes_back_from_a_hostile_request_is_judged(form, content, word):
    assert word in " ".join(raw_http.judge(form, content, ["s3cret"])[1])
    assert not raw_http.judge(Hostile("x", b"GET / HTTP/1.1\r\n"), answer(400), ["s3cret"])[1]


def test_what_the_container_answers_is_judged():
    def refuse(sentence):
        def answer(_body, _type):
            raise InvalidRequestError(sentence)

        return answer

    def judge(answer):
        return bodies.judge(answer, b"", None, 7)[1]

    assert not judge(lambda *_: b'{"a": 1}\n{"a": 2}')
    assert not judge(refuse("send text"))
    assert judge(lambda *_: b'{"a": 1}\n{"a": NaN}')
    assert judge(lambda *_: 1 / 0)
    assert judge(refuse("x" * 5_000))
    assert judge(refuse(f"text {verdicts.token(8)} is wrong"))


@pytest.mark.parametrize(
    ("kind", "found", "outcome"),
    [
        ("answers", {"q": 1}, "harmless"),
        ("answers", {"q": 2}, "served wrong"),
        ("refused", "LoadError", "refused"),
        ("ended", "loading", "refused"),
        ("ended", "it ended", "ended"),
        ("failed", "InternalError", "failed"),
    ],
)
def test_what_becomes_of_a_damaged_artifact_is_judged(kind, found, outcome):
    named, what = artifacts.judge(kind, found, {"q": 1})
    assert named == outcome
    assert bool(what) == (outcome not in ("harmless", "refused"))


@pytest.mark.parametrize(
    ("seconds", "status", "content", "first", "word"),
    [
        (1, 500, {"code": "internal_error"}, False, "500"),
        (60, 504, {"code": "time_out"}, False, "after 60"),
        (1, 502, {"code": "model_error", "message": garbage._WORD}, False, "own words"),
        (1, 502, {"code": "model_error"}, True, "second endpoint"),
        (1, 200, {"embeddings": []}, False, "0 embeddings"),
        (1, 200, {"embeddings": ["x"]}, False, "no list"),
    ],
)
def test_what_garbage_leads_to_is_judged(seconds, status, content, first, word):
    assert word in " ".join(garbage.judge("embed", seconds, status, content, first=first))
    assert not garbage.judge("embed", 1, 502, {"code": "model_error"}, first=False)
    assert not garbage.judge("embed", 1, 200, {"embeddings": [[1.0]]}, first=True)


def test_a_model_folder_is_empty_or_whole():
    assert not bakes.judge({}, {"a": "1"}) and not bakes.judge({"a": "1"}, {"a": "1"})
    assert bakes.judge({"a": "1"}, {"a": "1", "b": "2"}) and bakes.judge({"a": "2"}, {"a": "1"})


def test_the_deployment_after_a_broken_one_must_work():
    assert not deployments.judge(0, "", "new", "new")
    assert deployments.judge(1, "refused", "new", "new") and deployments.judge(0, "", "old", "new")


def test_a_lost_request_is_found(tmp_path):
    part = Part("kills")
    traffic = Traffic(LocalApp(tmp_path))
    traffic.statuses.update({200: 5})
    kills.note_traffic(part, traffic)
    assert (part.lost, part.findings) == (0, [])
    traffic.statuses.update({0: 1, 503: 1})
    kills.note_traffic(part, traffic)
    assert part.lost == 2 and "2 of 7 requests lost" in part.findings[0]["what"]


def test_growing_memory_is_found():
    minutes = 30
    samples = {
        ("steady", 1): [(minute, 100 + minute % 2) for minute in range(31)],
        ("leaking", 2): [(minute, 100 + 3 * minute) for minute in range(31)],
        ("gone", 3): [(minute, 100 + 9 * minute) for minute in range(15)],
    }
    lines = memory.summarize(samples, minutes)
    found = {name for name, line in lines.items() if memory.judge(line, minutes)}
    assert found == {"leaking"}
    assert lines["leaking"]["mb_a_minute"] == pytest.approx(3)
    assert not memory.judge(lines["leaking"], 2)


def test_the_memory_of_a_process_and_its_children_is_read():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        found = memory.resident(child.pid)
    finally:
        child.kill()
        child.wait()
    assert {process for _, process in found} == {child.pid}
    assert all(megabytes > 0 for megabytes in found.values())


def test_only_this_machine_may_be_reached():
    campaign.refuse_other_machines("socket.connect", (None, ("127.0.0.1", 80)))
    campaign.refuse_other_machines("socket.connect", (None, "/a/unix/socket"))
    for address in (("10.0.0.1", 80), ("example.com", 443), ("::1", 80, 0, 0)):
        with pytest.raises(campaign.OffLoopbackError):
            campaign.refuse_other_machines("socket.connect", (None, address))


def test_the_report_hides_no_5xx_and_says_how_to_repeat(tmp_path: Path):
    part = Part("http", seed=7)
    part.answered(200)
    part.answered(503, "model_unavailable")
    part.statuses["works"] += 1
    part.find(3, "it broke")
    found = Campaign(7, "abc", [part])
    report = json.loads(found.write(tmp_path).read_text())
    assert report["parts"]["http"]["server_errors"] == {"503 model_unavailable": 1}
    assert report["parts"]["http"]["findings"][0]["repeat"] == "make attack SEED=7 ONLY=http CASE=3"
    assert "503 model_unavailable" in (tmp_path / "report.txt").read_text()
    assert found.failed and not Campaign(7, "abc", [Part("http")]).failed


def test_a_case_is_the_same_whenever_it_runs():
    alone = [bodies.make_body(Part("bodies", 7).random(case), case) for case in (5, 6)]
    assert alone == [bodies.make_body(Part("bodies", 7).random(case), case) for case in (5, 6)]
    assert list(Part("bodies", 7, only=5).numbers(100)) == [5]


def test_a_server_that_never_ends_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert raw_http.send(server.getsockname()[1], b"GET / HTTP/1.1\r\n\r\n", 0.2) is None
