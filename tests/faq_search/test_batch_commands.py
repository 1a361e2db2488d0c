"""`faq-search batch …`, before an API and an S3 on localhost."""

from __future__ import annotations

import json

import pytest

from tests.support.client import ID, OUTPUT, ended, running_api, running_s3, state

EMBEDDINGS = b'{"id": 1, "embedding": [0.5]}\n'
REJECTS = b'{"line_number": 4}\n'


@pytest.fixture
def api(fake_api, monkeypatch):
    with running_api() as api:
        monkeypatch.setenv("FAQ_SEARCH_URL", api.url)
        yield api


@pytest.fixture
def batch(run):
    return lambda *arguments, **options: run("batch", *arguments, online=True, **options)


@pytest.fixture
def s3():
    with running_s3() as s3:
        s3.objects = {
            f"output/{ID}/embeddings.jsonl": EMBEDDINGS,
            f"output/{ID}/rejects/00000.jsonl": REJECTS,
        }
        yield s3


@pytest.fixture
def accepted(api, s3, tmp_path):
    """An API that takes in.jsonl."""
    (tmp_path / "in.jsonl").write_text('{"id": 1, "text_inputs": "a"}\n')
    upload = {"url": s3.signed("up"), "headers": {}}
    api.answer(202, state("awaiting_upload") | {"upload": upload})
    return api


def test_from_a_file_to_a_file(accepted, batch, s3, tmp_path):
    accepted.answer(200, state("transforming"))
    accepted.answer(200, ended(s3, merged=f"{OUTPUT}/embeddings.jsonl"))
    printed = batch(
        *("in.jsonl", "--merge", "--instance-count", "2", "--client-token", "t"),
        *("-o", "out.jsonl", "--rejects", "no.jsonl"),
    )
    assert printed.status == 0, printed.err
    assert s3.objects["up"] == (tmp_path / "in.jsonl").read_bytes()
    assert accepted.asked[0].body == {
        "upload": True,
        "merge": True,
        "instance_count": 2,
        "client_token": "t",
    }
    assert (tmp_path / "out.jsonl").read_bytes() == EMBEDDINGS
    assert (tmp_path / "no.jsonl").read_bytes() == REJECTS
    assert printed.err == f"batch {ID}\ntransforming …\n"
    for line in (f"batch\t{ID}", "status\tcompleted", "cost\tabout 0.0198 USD"):
        assert line in printed.out.splitlines()


def test_the_id_is_printed_alone_for_scripts(accepted, batch, s3):
    assert batch("submit", "in.jsonl").out == f"{ID}\n"
    assert len(accepted.asked) == 1
    accepted.answers = [(202, state("checking"), {})]
    printed = batch("submit", "s3://bucket/input/a.jsonl", "--json")
    assert json.loads(printed.out) == {"batch_id": ID}
    assert f"batch wait {ID}" in batch("submit", "s3://bucket/input/a.jsonl", width=80).err


def test_lines_from_standard_input(accepted, batch, s3):
    assert batch("submit", "-", stdin=b'{"id": 2}\n').out == f"{ID}\n"
    assert s3.objects["up"] == b'{"id": 2}\n'
    printed = batch("submit", "-", stdin=b"")
    assert (printed.status, printed.err) == (1, "Standard input is empty.\n")


@pytest.mark.parametrize("given", [[], ["-o", "out"]])
def test_refused_lines_are_written_whatever_else_is_asked_for(accepted, batch, s3, tmp_path, given):
    accepted.answer(200, ended(s3, merged=f"{OUTPUT}/embeddings.jsonl"))
    assert batch("in.jsonl", "--rejects", "no", *given).status == 0
    assert (tmp_path / "no").read_bytes() == REJECTS
    assert (tmp_path / "out").exists() == bool(given)


def test_a_batch_without_a_good_line_fails_and_leaves_the_refused_ones(
    accepted, batch, s3, tmp_path
):
    accepted.answer(200, ended(s3, status="failed", reason="No record.", output=[]))
    printed = batch("in.jsonl", "-o", "out", "--rejects", "no")
    assert printed.status == 1
    assert "reason\tNo record.\n" in printed.out
    assert "There are no embeddings; out was not written." in printed.err
    assert (tmp_path / "no").read_bytes() == REJECTS
    assert not (tmp_path / "out").exists()


def test_a_batch_that_failed_half_way_leaves_what_there_is(accepted, batch, s3, tmp_path):
    failed = ended(s3, status="failed", reason="Late.", merged=f"{OUTPUT}/embeddings.jsonl")
    accepted.answer(200, failed)
    assert batch("in.jsonl", "-o", "out").status == 1
    assert (tmp_path / "out").read_bytes() == EMBEDDINGS


def test_an_old_file_of_refused_lines_does_not_survive_a_batch_without_any(
    api, batch, s3, tmp_path
):
    (tmp_path / "no").write_text("old")
    api.answer(200, ended(s3, merged=f"{OUTPUT}/embeddings.jsonl", rejects=[]))
    printed = batch("results", ID, "-o", "out", "--rejects", "no")
    assert (printed.status, printed.err) == (0, "No lines were refused.\n")
    assert (tmp_path / "no").read_text() == ""


def test_results_go_to_standard_output(api, batch, s3, tmp_path):
    api.answer(200, ended(s3, merged=f"{OUTPUT}/embeddings.jsonl"))
    assert batch("results", ID).out.encode() == EMBEDDINGS
    assert batch("results", ID, "--rejects", "-").out.encode() == REJECTS
    assert batch("results", ID, "--rejects", "-", "-o", "out").out.encode() == REJECTS
    assert batch("wait", ID, "-o", "-").out.encode() == EMBEDDINGS
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["in.jsonl", "-o", "a", "--rejects", "a"], "cannot go to one place"),
        (["in.jsonl", "-o", "a", "--no-wait"], "drop --no-wait"),
        (["stauts", ID], "Is it 'status'?"),
        (["submit", "in.jsonl", "--instance-count", "0"], "x>=1"),
    ],
)
def test_wrong_usage(fake_api, run, arguments, says):
    printed = run("batch", *arguments)
    assert printed.status == 2
    assert says in printed.err
    assert not fake_api.asked


def test_ctrl_c_ends_the_waiting_alone_and_says_so(api, batch, monkeypatch):
    api.answer(200, state("transforming"))

    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupt)
    printed = batch("wait", ID)
    assert (printed.status, printed.out) == (130, "")
    assert f"batch wait {ID}" in printed.err and f"batch stop {ID}" in printed.err
    assert [asked.method for asked in api.asked] == ["GET"]


def test_status_and_stop(api, batch, run, s3):
    api.answer(200, state("gathering"))
    assert batch("status", ID).out == run("batch-status", ID, online=True).out == "gathering\n"
    api.answers = [(202, state("stopping"), {})]
    assert batch("stop", ID).out == "stopping\n"
    api.answers = [(200, ended(s3), {})]
    lines = batch("status", ID).out.splitlines()
    assert f"output\t{OUTPUT}/00000.jsonl.out" in lines
    assert f"output\t{OUTPUT}/00001.jsonl.out" in lines
    report = json.loads(batch("status", ID, "--json").out)["report"]
    assert report["ended_at"] == "2026-01-01T00:05:00Z"
    assert "and 1 more" in batch("status", ID, width=100).out


def test_an_unknown_batch_is_a_sentence(api, batch):
    api.answer(404, {"code": "not_found", "message": "No batch.", "request_id": "req-9"})
    printed = batch("status", "x/y")
    assert (printed.status, printed.err) == (1, "not_found: No batch.\nrequest id: req-9\n")
    assert api.asked[0].path.endswith("/batch/x%2Fy")
