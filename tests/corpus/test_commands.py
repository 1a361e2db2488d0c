"""`python -m corpus validate` and `fetch`, against recorded answers."""

from __future__ import annotations

import io
import re
import threading
import urllib.error
import urllib.request
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import corpus.__main__
import corpus.fetch
from corpus.__main__ import main
from corpus.fetch import KEY, FetchError, fetch

DATA = b"What is it?,A service\nWhy?,Because\n"
URL = f"https://jumpstart-cache-prod-us-west-2.s3.us-west-2.amazonaws.com/{KEY}"


class Response(io.BytesIO):
    def __init__(self, body: bytes, length: int | None = None):
        super().__init__(body)
        self.headers = {"Content-Length": str(len(body) if length is None else length)}


class Server:
    """Stands in for urlopen: gives one answer and records the addresses."""

    def __init__(self, answer):
        self.answer = answer
        self.urls: list[str] = []

    def __call__(self, request, timeout):
        assert timeout > 0
        self.urls.append(request.full_url)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_validate_shows_how_a_file_is_read(tmp_path, capsys):
    path = tmp_path / "faq.csv"
    path.write_text(
        "question,question 2,answer,url,\nHow do I get in?,Which door?,Ring the bell.,https://x,\n"
        ",,,,\n,,Mind the step.,,\nDo you sell tea?,,Yes.,,\nAnd coffee?,,Yes.,,\n"
    )
    assert main(["validate", str(path)]) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[:3] == [
        f"{path}: 4 entries, not all with a question",
        "  1 empty row skipped",
        "  1 empty column skipped",
    ]
    assert re.fullmatch("sha256 of the entries: [0-9a-f]{64}", lines[3])
    assert lines[4:] == [
        "The first 3 entries, as read:",
        "- id: '0'",
        "  question: 'How do I get in?'",
        "  question: 'Which door?'",
        "  answer: 'Ring the bell.'",
        "  url: 'https://x'",
        "- id: '1'",
        "  answer: 'Mind the step.'",
        "- id: '2'",
        "  question: 'Do you sell tea?'",
        "  answer: 'Yes.'",
    ]
    assert captured.err == f"Warning: {path}:6: the answer of row 5 again: 'Yes.'\n"


def test_validate_lists_the_problems_and_fails(tmp_path, capsys):
    path = tmp_path / "faq.csv"
    path.write_text("How?,So\nWhy?\nWhen?,a,b\n")
    assert main(["validate", str(path)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[0] for line in lines] == [f"{path}:2", f"{path}:3"]


def test_strict_takes_warnings_for_errors(tmp_path, capsys):
    path = tmp_path / "faq.csv"
    path.write_text("How?,So.\nWhy?,Because.\n")
    assert main(["validate", str(path), "--strict"]) == 0
    path.write_text("How?,So.\nWhy?,So.\n")
    assert main(["validate", str(path), "--strict"]) == 1
    assert capsys.readouterr().err.splitlines() == [
        f"Warning: {path}:2: the answer of row 1 again: 'So.'",
        "With --strict, warnings are errors.",
    ]


def test_validate_for_a_model(tmp_path, capsys):
    path = tmp_path / "faq.csv"
    path.write_text("Wie geht das?,So geht das, wie man sieht.\n".replace("das,", "das –"))
    assert main(["validate", str(path), "--strict", "--model", "multilingual-e5-base"]) == 0
    assert main(["validate", str(path), "--strict"]) == 1
    assert "(German 1)" in capsys.readouterr().err
    assert main(["validate", str(path), "--model", "gpt"]) == 1
    assert capsys.readouterr().err.startswith("unknown model 'gpt'; jumpstart.lock.json has all-M")


def test_convert_writes_what_reads_the_same(tmp_path, capsys):
    path = tmp_path / "faq.csv"
    path.write_bytes("Was;Wie;Wo\nDürfen Hunde mit?;Nur an der Leine.;Café\n".encode("cp1252"))
    given = ["--encoding", "cp1252", "--map", "question=Was", "--map", "answer=Wie"]
    assert main(["convert", str(path), *given, "--map", "category=Wo"]) == 0
    output = tmp_path / "faq.jsonl"
    assert capsys.readouterr().out == f"{output}: 1 entry\n"
    assert output.read_text("utf-8") == (
        '{"id":"0","questions":["Dürfen Hunde mit?"],"answer":"Nur an der Leine.",'
        '"fields":{"category":"Café"}}\n'
    )
    again = tmp_path / "again.jsonl"
    assert main(["convert", str(output), str(again)]) == 0
    assert again.read_bytes() == output.read_bytes()


def test_convert_leaves_alone_what_it_must(tmp_path, capsys):
    path = tmp_path / "faq.jsonl"
    path.write_text('{"question":"How?","answer":"So."}\n')
    assert main(["convert", str(path)]) == 1
    assert capsys.readouterr().err == f"{path} is the file itself; name another for the result\n"
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("How?,So.\nWhy?\n")
    assert main(["convert", str(wrong), str(path)]) == 1
    assert path.read_text() == '{"question":"How?","answer":"So."}\n'
    assert sorted(tmp_path.iterdir()) == [path, wrong]


def test_a_mapping_names_role_and_column(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["validate", "faq.csv", "--map", "Frage"])
    assert "'Frage' is not like question=Frage" in capsys.readouterr().err


def test_fetch_puts_the_checked_file_in_place(tmp_path):
    server = Server(Response(DATA))
    output = tmp_path / "new" / "faq.csv"
    seen = []
    info = fetch(output, progress=lambda *numbers: seen.append(numbers), open_url=server)
    assert server.urls == [URL]
    assert output.read_bytes() == DATA
    assert list(output.parent.iterdir()) == [output]
    assert info.entries == 2
    assert seen == [(len(DATA), len(DATA))]


def test_fetch_asks_the_bucket_of_the_region(tmp_path):
    server = Server(Response(DATA))
    fetch(tmp_path / "faq.csv", "cn-north-1", open_url=server)
    assert server.urls[0].startswith(
        "https://jumpstart-cache-prod-cn-north-1.s3.cn-north-1.amazonaws.com.cn/"
    )


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (urllib.error.URLError(OSError("no route")), "cannot be reached: no route"),
        (TimeoutError("timed out"), "cannot be reached: timed out"),
        (urllib.error.HTTPError(URL, 403, "Forbidden", Message(), None), "answered 403 Forbidden"),
        (Response(DATA, len(DATA) + 1), "it sent 35 of 36 bytes"),
    ],
)
def test_without_the_file_fetch_says_what_to_do(tmp_path, answer, message):
    output = tmp_path / "faq.csv"
    output.write_text("Old,Kept\n")
    with pytest.raises(FetchError) as caught:
        fetch(output, open_url=Server(answer))
    assert message in str(caught.value)
    assert (
        "aws s3 cp --no-sign-request --region us-west-2 s3://jumpstart-cache-prod-us-west-2/"
        in str(caught.value)
    )
    assert f"python -m corpus validate {output}" in str(caught.value)
    assert output.read_text() == "Old,Kept\n"
    assert list(tmp_path.iterdir()) == [output]


def test_fetch_keeps_the_old_file_when_the_new_one_is_no_corpus(tmp_path):
    output = tmp_path / "faq.csv"
    output.write_text("Old,Kept\n")
    with pytest.raises(FetchError, match="is not a corpus") as caught:
        fetch(output, open_url=Server(Response(b"<html>\n")))
    assert f"{output}: this is a web page;" in str(caught.value)
    assert output.read_text() == "Old,Kept\n"
    assert list(tmp_path.iterdir()) == [output]


def test_fetch_stops_at_a_size_no_faq_has(tmp_path, monkeypatch):
    monkeypatch.setattr(corpus.fetch, "MAX_BYTES", len(DATA) - 1)
    with pytest.raises(FetchError, match="larger than 34 bytes; not downloaded"):
        fetch(tmp_path / "faq.csv", open_url=Server(Response(DATA)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "region", "message"),
    [("faq.txt", "us-west-2", r"ends with \.csv"), ("faq.csv", "x.evil/", "not an AWS region")],
)
def test_fetch_refuses_what_cannot_work_before_asking(tmp_path, name, region, message):
    server = Server(Response(DATA))
    with pytest.raises(FetchError, match=message):
        fetch(tmp_path / name, region, open_url=server)
    assert server.urls == []


def test_the_real_urlopen_is_understood(tmp_path):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(DATA)))
            self.end_headers()
            self.wfile.write(DATA)

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()

        def open_url(request, timeout):
            request.full_url = f"http://127.0.0.1:{server.server_port}/{KEY}"
            return urllib.request.urlopen(request, timeout=timeout)

        assert fetch(tmp_path / "faq.csv", open_url=open_url).entries == 2
        server.shutdown()


def test_the_fetch_command_shows_progress_and_the_setting(tmp_path, capsys, monkeypatch):
    output = tmp_path / "faq.csv"

    def fake(path, region, progress):
        progress(10, 20)
        progress(20, 20)
        return fetch(path, region, progress=progress, open_url=Server(Response(DATA)))

    monkeypatch.setattr(corpus.__main__, "fetch", fake)
    assert main(["fetch", str(output)]) == 0
    captured = capsys.readouterr()
    assert captured.err.startswith("\r10 of 20 bytes\r20 of 20 bytes\n")
    assert f'[corpus] path = "{output}"' in captured.out


def test_ctrl_c_ends_a_fetch_and_leaves_no_part_of_it(tmp_path, capsys, monkeypatch):
    def interrupted(path, region, progress):
        def interrupt(*_):
            raise KeyboardInterrupt

        return fetch(path, region, progress=interrupt, open_url=Server(Response(DATA)))

    monkeypatch.setattr(corpus.__main__, "fetch", interrupted)
    assert main(["fetch", str(tmp_path / "faq.csv")]) == 130
    assert "".join(capsys.readouterr()) == ""
    assert list(tmp_path.iterdir()) == []


def test_the_fetch_command_fails_with_advice(tmp_path, capsys, monkeypatch):
    def fake(path, region, progress):
        return fetch(path, region, open_url=Server(urllib.error.URLError("offline")))

    monkeypatch.setattr(corpus.__main__, "fetch", fake)
    assert main(["fetch", str(tmp_path / "faq.csv")]) == 1
    assert "aws s3 cp" in capsys.readouterr().err
