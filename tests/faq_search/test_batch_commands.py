"""`python -m faq_search batch …`, before an API and an S3 on localhost."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from faq_search.__main__ import main
from tests.support.client import ID, OUTPUT, ended, running_api, running_s3, state


@pytest.fixture
def api(monkeypatch):
    with running_api() as api:
        monkeypatch.setenv("FAQ_SEARCH_URL", api.url)
        monkeypatch.setenv("FAQ_SEARCH_API_KEY", "key")
        monkeypatch.setattr("time.sleep", lambda _: None)
        yield api


@pytest.fixture
def s3():
    with running_s3() as s3:
        s3.objects = {
            f"output/{ID}/embeddings.jsonl": b'{"id": 1, "embedding": [0.5]}\n',
            f"output/{ID}/rejects/00000.jsonl": b'{"line_number": 4}\n',
        }
        yield s3


def run(*arguments):
    shown = io.StringIO()
    status = main(arguments, Console(file=shown, width=160, markup=False, emoji=False))
    return status, shown.getvalue()


def test_from_a_file_to_a_file(api, s3, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"id": 1, "text_inputs": "a"}\n')
    upload = {"url": s3.signed("up"), "headers": {}}
    api.answer(202, state("awaiting_upload") | {"upload": upload})
    api.answer(200, state("transforming"))
    api.answer(200, ended(s3, merged=f"{OUTPUT}/embeddings.jsonl"))
    status, shown = run(
        *("batch", str(tmp_path / "in.jsonl"), "--merge", "--instance-count", "2", "--token", "t"),
        *("-o", str(tmp_path / "out.jsonl"), "--rejects", str(tmp_path / "no.jsonl")),
    )
    assert status == 0, shown
    assert s3.objects["up"] == (tmp_path / "in.jsonl").read_bytes()
    assert api.asked[0].body == {
        "upload": True,
        "merge": True,
        "instance_count": 2,
        "client_token": "t",
    }
    assert (tmp_path / "out.jsonl").read_text() == '{"id": 1, "embedding": [0.5]}\n'
    assert (tmp_path / "no.jsonl").read_text() == '{"line_number": 4}\n'
    for told in (ID, "completed", "embedded", "about 0.0198 USD", "refused lines"):
        assert told in shown


def test_without_waiting(api):
    api.answer(202, state("checking"))
    status, shown = run("batch", "s3://bucket/input/a.jsonl", "--no-wait")
    assert (status, shown.strip(), len(api.asked)) == (0, f"batch {ID}", 1)


def test_a_batch_that_fails_is_told_with_its_report(api, s3, tmp_path):
    api.answer(202, state("checking"))
    api.answer(200, ended(s3, status="failed", reason="The file is empty.", output=[], rejects=[]))
    status, shown = run("batch", "s3://bucket/input/a", "-o", str(tmp_path / "out"))
    assert status == 1
    assert "The file is empty." in shown
    assert not (tmp_path / "out").exists()


def test_ctrl_c_ends_the_waiting_alone_and_says_so(api, monkeypatch):
    api.answer(200, state("transforming"))

    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupt)
    status, shown = run("batch-wait", ID)
    assert status == 130
    assert f"batch-wait {ID}" in shown and f"batch-stop {ID}" in shown
    assert [asked.method for asked in api.asked] == ["GET"]


def test_status_and_stop(api, s3):
    api.answer(200, state("gathering"))
    assert run("batch-status", ID) == (0, "gathering\n")
    api.answers = [(202, state("stopping"), {})]
    assert run("batch-stop", ID) == (0, "stopping\n")
    api.answers = [(200, ended(s3), {})]
    assert f"{OUTPUT}/00000.jsonl.out" in run("batch-status", ID)[1]


def test_download(api, s3, tmp_path):
    api.answer(200, ended(s3, merged=f"{OUTPUT}/embeddings.jsonl", rejects=[]))
    status, shown = run(
        *("batch-download", ID, "-o", str(tmp_path / "out"), "--rejects", str(tmp_path / "no"))
    )
    assert status == 0
    assert "refused lines: none" in shown
    assert (tmp_path / "out").exists() and not (tmp_path / "no").exists()


def test_an_unknown_batch_is_a_sentence(api, capsys):
    api.answer(404, {"code": "not_found", "message": "No batch.", "request_id": "req-9"})
    assert run("batch-status", ID)[0] == 1
    assert capsys.readouterr().err == "not_found: No batch.\nrequest id: req-9\n"
