"""Batches by the typed client, before an API and an S3 on localhost."""

from __future__ import annotations

import logging

import pytest

from faq_search import BatchError, Cost, FaqSearch, FaqSearchError, Records
from tests.support.client import ID, OUTPUT, ended, running_api, running_s3, state

LINES = b'{"id": 1, "text_inputs": "a"}\n'


@pytest.fixture
def api():
    with running_api() as api:
        yield api


@pytest.fixture
def s3():
    with running_s3() as s3:
        yield s3


@pytest.fixture
def faq(api):
    with FaqSearch(api.url, api_key="key") as faq:
        yield faq


@pytest.fixture
def pauses(monkeypatch):
    pauses = []
    monkeypatch.setattr("time.sleep", pauses.append)
    return pauses


def awaited(s3):
    upload = {"url": s3.signed("up.jsonl"), "method": "PUT", "headers": {"x-a": "b"}}
    return state("awaiting_upload") | {"upload": upload | {"expires_at": "2026-01-01T01:00:00Z"}}


def test_a_file_in_s3(api, faq):
    api.answer(202, state("checking"))
    batch = faq.batch("s3://bucket/input/a.jsonl", merge=True, instance_count=3, client_token="t")
    assert batch.batch_id == ID
    assert (api.asked[0].method, api.asked[0].path.split("/v1")[1]) == ("POST", "/batch")
    assert api.asked[0].body == {
        "s3_uri": "s3://bucket/input/a.jsonl",
        "merge": True,
        "instance_count": 3,
        "client_token": "t",
    }


def test_every_call_has_a_token_so_that_its_repetition_is_no_second_batch(api, faq, pauses):
    api.answer(503, {"code": "service_unavailable", "message": "…", "request_id": "r"})
    api.answer(202, state("checking"))
    faq.batch("s3://bucket/input/a.jsonl")
    faq.batch("s3://bucket/input/a.jsonl")
    first, repeated, second = (asked.body["client_token"] for asked in api.asked)
    assert first == repeated != second


def test_a_file_here_is_uploaded_in_blocks(api, faq, s3, tmp_path):
    file = tmp_path / "a.jsonl"
    file.write_bytes(LINES * 100_000)
    size = file.stat().st_size
    api.answer(202, awaited(s3))
    heard = []
    batch = faq.batch(file, on_bytes=lambda so_far, of: heard.append((so_far, of)))
    assert batch.batch_id == ID
    assert s3.objects["up.jsonl"] == file.read_bytes()
    (_, _, headers) = s3.asked[0]
    assert headers["x-a"] == "b"
    assert "transfer-encoding" not in headers, "S3 takes no chunks"
    assert len(heard) > 2 and heard[-1] == (size, size)
    assert "x-api-key" not in headers, "the key is the API's"


def test_a_log_has_the_urls_without_what_signs_them(api, faq, s3, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    file = tmp_path / "a.jsonl"
    file.write_bytes(LINES)
    api.answer(202, awaited(s3))
    faq.batch(file)
    assert f"{s3.url}/up.jsonl?signed" in caplog.text
    assert f"{api.url}/batch" in caplog.text
    assert "X-Amz-Signature" not in caplog.text


def test_what_was_uploaded_with_a_token_is_not_uploaded_again(api, faq, s3, tmp_path):
    (tmp_path / "a").write_bytes(LINES)
    api.answer(200, state("transforming"))
    assert faq.batch(str(tmp_path / "a"), client_token="t").batch_id == ID
    assert not s3.asked


@pytest.mark.parametrize(("size", "says"), [(0, "is empty"), (5 * 1024**3 + 1, "aws s3 cp")])
def test_a_file_that_cannot_be_uploaded_is_reported_before_anything_begins(
    api, faq, tmp_path, size, says
):
    with (tmp_path / "a").open("wb") as file:
        file.truncate(size)
    with pytest.raises(ValueError, match=says):
        faq.batch(tmp_path / "a")
    assert not api.asked


def test_a_file_that_is_not_there(faq, tmp_path):
    with pytest.raises(FileNotFoundError):
        faq.batch(tmp_path / "a")


def test_an_upload_is_tried_again_from_its_beginning(api, faq, s3, pauses, tmp_path):
    (tmp_path / "a").write_bytes(LINES)
    api.answer(202, awaited(s3))
    s3.failures = [(503, b""), (500, b"")]
    faq.batch(tmp_path / "a")
    assert s3.objects["up.jsonl"] == LINES
    assert len(s3.asked) == 3


EXPIRED = b"<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>"


@pytest.mark.parametrize(
    ("failures", "tries", "says"),
    [
        ([(403, EXPIRED)], 1, "S3 refused: Request has expired."),
        ([(400, b"<html>")], 1, "HTTP 400"),
        ([(503, b"")] * 3, 3, "HTTP 503"),
    ],
)
def test_an_upload_that_s3_refuses(api, faq, s3, pauses, tmp_path, failures, tries, says):
    (tmp_path / "a").write_bytes(LINES)
    api.answer(202, awaited(s3))
    s3.failures = list(failures)
    with pytest.raises(FaqSearchError, match=says) as failed:
        faq.batch(tmp_path / "a")
    assert (failed.value.code, failed.value.status) == ("upload_failed", failures[0][0])
    assert len(s3.asked) == tries


def test_an_upload_to_nobody(api, faq, s3, pauses, tmp_path):
    (tmp_path / "a").write_bytes(LINES)
    s3.url = "http://127.0.0.1:9"
    api.answer(202, awaited(s3))
    with pytest.raises(FaqSearchError, match="did not answer") as failed:
        faq.batch(tmp_path / "a")
    assert (failed.value.code, failed.value.status) == ("upload_failed", None)


def test_waiting_asks_less_and_less_often(api, faq, s3, pauses):
    for status in ["awaiting_upload", "checking", *["transforming"] * 12, "gathering"]:
        api.answer(200, state(status))
    api.answer(200, ended(s3))
    heard = []
    found = faq.find_batch(ID).wait(on_state=lambda one: heard.append(one.status))
    assert heard[:2] == ["awaiting_upload", "checking"] and heard[-1] == "completed"
    assert pauses[:2] == [1, 1.5] and pauses[-1] == 30
    assert api.asked[0].method == "GET" and api.asked[0].path.endswith(f"/batch/{ID}")
    assert found.report.records == Records(2, 1, 1, 2, 0)
    assert found.report.cost == Cost(0.0198, "USD", 0.0833, "2025-11-01")
    assert found.report.whole["ended_at"] == "2026-01-01T00:05:00Z"
    assert found.urls[f"{OUTPUT}/00000.jsonl.out"].startswith(s3.url)


@pytest.mark.parametrize("status", ["failed", "stopped"])
def test_a_batch_that_did_not_complete(api, faq, s3, status):
    api.answer(200, ended(s3, status=status, reason="The model is gone.", cost_estimate=None))
    with pytest.raises(BatchError, match=rf"{ID} (was )?{status}\. The model is gone\.") as failed:
        faq.find_batch(ID).wait()
    assert (failed.value.code, failed.value.request_id) == (f"batch_{status}", "r")
    assert failed.value.state.report.output


def test_a_report_that_comes_after_the_end_is_waited_for(api, faq, s3, pauses):
    api.answer(200, state("failed"))
    api.answer(200, ended(s3, status="failed", reason="Broken."))
    with pytest.raises(BatchError, match="Broken"):
        faq.find_batch(ID).wait()


def test_a_report_that_never_comes_is_not_waited_for_forever(api, faq, pauses):
    api.answer(200, state("stopped"))
    with pytest.raises(BatchError, match="was stopped") as failed:
        faq.find_batch(ID).wait()
    assert failed.value.state.report is None
    assert len(pauses) == 4


def test_waiting_has_an_end(api, faq):
    api.answer(200, state("transforming"))
    with pytest.raises(FaqSearchError, match="still transforming") as failed:
        faq.find_batch(ID).wait(timeout=0.5)
    assert failed.value.code == "wait_timed_out"


def test_stopping(api, faq):
    api.answer(202, state("stopping"))
    assert faq.find_batch(ID).stop().status == "stopping"
    assert (api.asked[0].method, api.asked[0].raw) == ("DELETE", b"")


def put_results(s3):
    s3.objects = {
        f"output/{ID}/00000.jsonl.out": b'{"id": 1}\n{"id": 2}',
        f"output/{ID}/00001.jsonl.out": b'{"id": 3}\n',
        f"output/{ID}/rejects/00000.jsonl": b'{"line_number": 4}\n',
        f"output/{ID}/embeddings.jsonl": b"merged\n",
    }


def test_the_results_are_one_file_in_order(api, faq, s3, tmp_path):
    put_results(s3)
    api.answer(200, ended(s3))
    heard = []
    to = faq.find_batch(ID).download(tmp_path / "out", lambda *bytes_: heard.append(bytes_))
    assert to.read_bytes() == b'{"id": 1}\n{"id": 2}\n{"id": 3}\n'
    assert heard == [(19, 19), (10, 10)]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert faq.find_batch(ID).download_rejects(tmp_path / "no").read_bytes() == (
        b'{"line_number": 4}\n'
    )


def test_merged_results_are_fetched_as_they_are(api, faq, s3, tmp_path):
    put_results(s3)
    api.answer(200, ended(s3, merged=f"{OUTPUT}/embeddings.jsonl", rejects=[]))
    batch = faq.find_batch(ID)
    assert batch.download(str(tmp_path / "out")).read_bytes() == b"merged\n"
    assert [key for _, key, _ in s3.asked] == [f"output/{ID}/embeddings.jsonl"]
    assert batch.download_rejects(tmp_path / "no") is None


def test_a_download_that_breaks_off_goes_on_where_it_was(api, faq, s3, pauses, tmp_path):
    put_results(s3)
    s3.breaks = [4, 0, 0, 5]
    api.answer(200, ended(s3))
    to = faq.find_batch(ID).download(tmp_path / "out")
    assert to.read_bytes() == b'{"id": 1}\n{"id": 2}\n{"id": 3}\n'
    ranges = [headers.get("range") for _, _, headers in s3.asked]
    assert ranges == [None, "bytes=4-", "bytes=4-", "bytes=4-", "bytes=9-", None]


def test_a_download_that_s3_refuses_leaves_no_file_that_looks_whole(api, faq, s3, tmp_path):
    put_results(s3)
    api.answer(200, ended(s3))
    s3.failures = [(403, EXPIRED)]
    with pytest.raises(FaqSearchError, match="Request has expired") as failed:
        faq.find_batch(ID).download(tmp_path / "out")
    assert failed.value.code == "download_failed"
    assert not (tmp_path / "out").exists()


def test_urls_are_asked_for_anew_before_they_expire(api, faq, s3, monkeypatch, tmp_path):
    put_results(s3)
    api.answer(200, ended(s3))
    faq.find_batch(ID).download(tmp_path / "out")
    once = len(api.asked)
    monkeypatch.setattr("faq_search.transfer._URLS_FRESH_SECONDS", -1.0)
    faq.find_batch(ID).download(tmp_path / "out")
    assert len(api.asked) == 2 * once + 1


def test_more_results_than_there_are_urls(api, faq, s3, tmp_path):
    put_results(s3)
    answer = ended(s3)
    del answer["downloads"][1]
    api.answer(200, answer)
    with pytest.raises(FaqSearchError, match="merged") as failed:
        faq.find_batch(ID).download(tmp_path / "out")
    assert failed.value.code == "too_many_files"


@pytest.mark.parametrize("what", ["running", "empty"])
def test_nothing_to_download(api, faq, s3, tmp_path, what):
    api.answer(200, state("checking") if what == "running" else ended(s3, output=[]))
    with pytest.raises(FaqSearchError) as failed:
        faq.find_batch(ID).download(tmp_path / "out")
    assert failed.value.code == "no_results"
    assert not list(tmp_path.iterdir())
