"""The command line of the client."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import click
import pytest

from corpus.reader import describe
from faq_search import __version__
from faq_search.command import cli
from tests.support.client import DEPLOYED, SERVED

ROOT = Path(__file__).parents[2]
LONG = "word " * 200


def search_answer(*lists):
    """An answer with a list of hits for each query, each given by its ids."""
    hits = [
        [{"id": i, "question": "Q?", "answer": "see [b]this[/b] :tada:", "score": 0.9} for i in ids]
        for ids in lists
    ]
    return {"results": hits, "bake_id": "b", "served_by": SERVED, "request_id": "r"}


def embedded(*vectors):
    return {"embeddings": vectors, "served_by": SERVED, "request_id": "r"}


def commands(group, *names):
    """Every command below a group, and the groups, by the words that call them."""
    yield names, group
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, *names, name)
        else:
            yield (*names, name), command


COMMANDS = dict(commands(cli))


class TestAsk:
    @pytest.mark.parametrize(
        "arguments",
        [
            ["Is R supported?", "--top-k", "1", "--min-score", "-0.2"],
            ["--top-k", "1", "--min-score=-0.2", "Is R supported?"],
            ["ask", "--top-k=1", "Is R supported?", "--min-score=-0.2"],
            ["search", "Is R supported?", "--top-k", "1", "--min-score", "-0.2"],
        ],
    )
    def test_is_the_default(self, fake_api, run, arguments):
        fake_api.answer(200, search_answer("7"))
        printed = run(*arguments)
        assert printed.status == 0, printed.err
        asked = fake_api.asked[0]
        assert asked.body == {"queries": ["Is R supported?"], "top_k": 1, "min_score": -0.2}
        assert (asked.path, asked.headers["x-api-key"]) == ("/v1/search", "k")

    def test_shows_answers_as_they_are(self, fake_api, run):
        answer = search_answer("7", "")
        answer["results"][0][0] |= {"passage": "only [b]this[/b]\x1b[2J", "fields": {"url": "x"}}
        fake_api.answer(200, answer)
        printed = run("one?", "two more?", "--margin", "0.1", "--category", "a", width=70)
        assert "one?" in printed.out and "score 0.900, id 7" in printed.out
        assert "… only [b]this[/b]�[2J …" in printed.out
        assert "url: x" in printed.out
        assert "served by ml.c6i.xlarge" in printed.out
        assert printed.err == "No answer: two more?\n"
        asked = fake_api.asked[0].body
        assert (asked["margin"], asked["category"]) == (0.1, ["a"])

    def test_into_a_pipe_goes_a_line_for_each_hit_and_nothing_is_cut(self, fake_api, run):
        answer = search_answer("78")
        answer["results"][0][0] |= {"answer": f"{LONG}\r\n\tend", "score": 0.123456789}
        fake_api.answer(200, answer)
        printed = run("one?")
        first, second = printed.out.splitlines()
        assert first.split("\t") == ["one?", "0.123456789", "7", "Q?", f"{LONG} end"]
        assert second.split("\t")[2] == "8"

    def test_json_is_a_line_for_each_question(self, fake_api, run):
        fake_api.answer(200, search_answer("7", ""))
        printed = run("--json", "one?", "two more?")
        one, two = (json.loads(line) for line in printed.out.splitlines())
        assert (one["question"], one["hits"][0]["id"], one["bake_id"]) == ("one?", "7", "b")
        assert one["served_by"] == SERVED
        assert (two["question"], two["hits"]) == ("two more?", [])
        on_terminal = run("one?", "two more?", "--json", width=40).out
        assert on_terminal.startswith('{\n  "question": "one?"') and LONG not in on_terminal

    def test_reads_questions_from_standard_input(self, fake_api, run):
        fake_api.answer(200, search_answer(*"7" * 16))
        fake_api.answer(200, search_answer(*"8" * 4))
        lines = "\n\r\n".join(f"Frage {n}?" for n in range(20))
        printed = run("-", stdin=f"\ufeff{lines}\n".encode())
        assert printed.status == 0, printed.err
        assert [len(asked.body["queries"]) for asked in fake_api.asked] == [16, 4]
        assert fake_api.asked[0].body["queries"][:2] == ["Frage 0?", "Frage 1?"]

    @pytest.mark.parametrize(("given", "says"), [(b"\n \n", "no text"), (b"a\xff", "not in UTF-8")])
    def test_refuses_standard_input_that_is_no_text(self, run, given, says):
        printed = run("ask", "-", stdin=given)
        assert (printed.status, printed.out) == (1, "")
        assert says in printed.err

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["helth"], "There is no command 'helth'. Is it 'health'?"),
            (["Is", "R", "supported?"], "Put a question into quotes"),
            (["--frob", "Is R supported?"], "No such option '--frob'"),
            (["ask", "x", "--top-k", "0"], "0 is not in the range 1<=x<=1000"),
            (["ask", "x", "--margin", "1.5"], "1.5 is not in the range 0<=x<=1"),
            (["ask"], "Missing argument"),
            (["health", "--timeout", "0"], "not in the range x>0"),
        ],
    )
    def test_refuses_wrong_usage(self, fake_api, run, arguments, says):
        printed = run(*arguments)
        assert (printed.status, printed.out) == (2, "")
        assert says in printed.err
        assert not fake_api.asked

    def test_has_the_limits_of_the_api(self):
        schemas = json.loads((ROOT / "docs/openapi.json").read_text())["components"]["schemas"]
        (fields,) = (s["properties"] for s in schemas.values() if "margin" in s["properties"])
        of_command = {option.name: option for option in cli.commands["ask"].params}
        for name in ("top_k", "min_score", "margin"):
            field = next(iter(fields[name].get("anyOf", [fields[name]])))
            allowed = of_command[name].type
            assert (allowed.min, allowed.max) == (field["minimum"], field["maximum"])
        assert of_command["top_k"].default == fields["top_k"]["default"]


class TestEmbed:
    def test_on_a_terminal(self, fake_api, run):
        fake_api.answer(200, embedded([0.25] * 384))
        printed = run("embed", "a text", "--instance-type", "ml.c6i.xlarge", width=80)
        assert "384" in printed.out and "+0.2500" in printed.out
        assert fake_api.asked[0].body["instance_type"] == "ml.c6i.xlarge"

    def test_into_a_pipe(self, fake_api, run):
        fake_api.answer(200, embedded([0.25, -0.5] * 192, [1] * 384))
        lines = run("embed", "one", "two").out.splitlines()
        assert [line.split("\t")[0] for line in lines] == ["one", "two"]
        assert lines[0].split("\t")[1:] == ["0.25", "-0.5"] * 192
        first, _ = run("embed", "one", "two", "--json").out.splitlines()
        assert json.loads(first) == {"text": "one", "embedding": [0.25, -0.5] * 192}


class TestNearest:
    @pytest.fixture(autouse=True)
    def answers(self, fake_api):
        hits = [[{"corpus_id": 1, "score": 0.5}]]
        fake_api.answer(200, {"results": hits, "served_by": SERVED, "request_id": "r"})

    def test_reads_a_file(self, fake_api, run, tmp_path):
        (tmp_path / "texts").write_text("one\n\ntwo\n")
        printed = run("nearest", "--corpus", "texts", "2")
        assert (printed.status, printed.out) == (0, "2\t0.5\t1\ttwo\n")
        assert fake_api.asked[0].body["corpus"] == ["one", "two"]
        assert "two" in run("nearest", "--corpus", "texts", "2", width=60).out

    def test_reads_standard_input(self, run):
        printed = run("nearest", "--corpus", "-", "2", "--json", stdin=b"one\ntwo\n")
        hit = {"score": 0.5, "corpus_id": 1, "text": "two"}
        assert json.loads(printed.out) == {"query": "2", "hits": [hit]}

    def test_standard_input_is_one_thing(self, run):
        printed = run("nearest", "--corpus", "-", "-", stdin=b"one\n")
        assert printed.status == 2
        assert "cannot be both" in printed.err

    def test_a_file_that_is_not_there(self, run):
        printed = run("nearest", "--corpus", "none.txt", "x")
        assert (printed.status, printed.err) == (1, "none.txt: No such file or directory\n")


class TestSimilarity:
    @pytest.fixture(autouse=True)
    def answers(self, fake_api):
        fake_api.answer(200, embedded([2.0, 0.0], [1.0, 1.0], [0, -3]))
        fake_api.answer(200, DEPLOYED)

    def test_into_a_pipe(self, run):
        lines = [line.split("\t") for line in run("similarity", "a", "b", "c").out.splitlines()]
        assert [line[0] for line in lines] == ["a", "b", "c"]
        values = [[float(value) for value in line[1:]] for line in lines]
        half = 2**-0.5
        assert values[0] == pytest.approx([1, half, 0])
        assert values[1] == pytest.approx([half, 1, -half])
        assert values[2] == pytest.approx([0, -half, 1])

    def test_json(self, run):
        lines = run("similarity", "-", "--json", stdin=b"a\nb\nc\n").out.splitlines()
        first = json.loads(lines[0])
        assert (first["text"], len(first["similarities"]), len(lines)) == ("a", 3, 3)

    @pytest.mark.parametrize("width", [80, 20])
    def test_on_a_terminal_the_whole_matrix_is_shown(self, run, width):
        shown = run("similarity", "a", "b", "c", width=width).out
        for value, times in (("1.00", 3), ("0.71", 3 + 1), ("-0.71", 2), ("0.00", 2)):
            assert shown.count(value) == times
        assert all(len(line) <= width for line in shown.splitlines())

    def test_a_png(self, run, tmp_path):
        printed = run("similarity", "a $1$", "b", "c" * 90, "--png", "map")
        assert (printed.status, printed.out, printed.err) == (0, "", "map is written.\n")
        assert (tmp_path / "map").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"

    def test_one_text_has_nothing_to_compare_with(self, run):
        assert run("similarity", "a").status == 2


class TestDeployment:
    def test_endpoints(self, fake_api, run):
        fake_api.answer(200, DEPLOYED)
        assert run("endpoints").out == "ml.c6i.xlarge\tfaq\n"
        assert json.loads(run("endpoints", "--json").out)["model_version"] == "2.0.1"
        assert "minilm 2.0.1, 384 dimensions" in run("endpoints", width=80).out

    @pytest.mark.parametrize(("status", "code"), [("ok", 0), ("time_out", 1)])
    def test_health_fails_unless_one_answers(self, fake_api, run, status, code):
        lines = [{"instance_type": "ml.c6i.xlarge", "status": status}]
        answer = {"bake_id": "b" * 64, "endpoints": lines, "request_id": "r"}
        if code:
            fake_api.answer(503, answer | {"code": "model_unavailable", "message": "…"})
        else:
            fake_api.answer(200, answer | {"status": "ok"})
        printed = run("health")
        assert (printed.status, printed.out) == (code, f"ml.c6i.xlarge\t{status}\t\n")
        assert json.loads(run("health", "--json").out)["ok"] is not bool(code)
        assert "b" * 64 in run("health", width=80).out

    def test_who_has_switched_off_learns_how_to_switch_on(self, fake_api, run):
        answer = {"code": "serving_off", "message": "…", "request_id": "r"}
        fake_api.answer(503, answer | {"bake_id": "b", "endpoints": []})
        printed = run("health")
        assert printed.status == 1
        assert "make on" in printed.err


class TestErrors:
    def test_are_a_sentence_and_the_request_id(self, fake_api, run):
        answer = {"code": "invalid_request", "message": "No.", "request_id": "req-9"}
        fake_api.answer(400, answer)
        printed = run("ask", "?")
        assert (printed.status, printed.out) == (1, "")
        assert printed.err == "invalid_request: No.\nrequest id: req-9\n"
        assert json.loads(run("ask", "?", "--json").err) == answer

    def test_a_wrong_key_is_shown_with_the_place_it_was_for(self, fake_api, run):
        fake_api.answer(403, {"code": "forbidden", "message": "No.", "request_id": "r"})
        err = run("health").err
        assert f"Asked with an API key: {fake_api.url}, found in FAQ_SEARCH_URL." in err

    def test_nobody_there(self, run, monkeypatch):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        monkeypatch.setenv("FAQ_SEARCH_URL", f"http://127.0.0.1:{port}")
        printed = run("health", online=True)
        assert printed.status == 1
        assert "Connection refused" in printed.err and "found in FAQ_SEARCH_URL" in printed.err


class TestHelp:
    def test_version(self, run):
        assert run("--version").out == run("ask", "--version").out == f"faq-search {__version__}\n"

    def test_of_every_command_has_options_ranges_and_exit_codes(self, run):
        assert len(COMMANDS) == 15
        for names in COMMANDS:
            printed = run(*names, "--help")
            assert printed.status == 0
            for text in ("--url", "--json", "[default: 30.0; x>0]", "130  interrupted"):
                assert text in printed.out, names
        assert "[default: 3; 1<=x<=1000]" in run("ask", "-h").out

    def test_the_page_has_every_command_and_option(self):
        page = (ROOT / "docs/command-line.md").read_text()
        for names, command in COMMANDS.items():
            if not isinstance(command, click.Group):
                assert f"| `{' '.join(names)}" in page
            for option in command.params:
                assert isinstance(option, click.Argument) or option.opts[0] in page, option.opts

    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_completion(self, run, shell, monkeypatch):
        monkeypatch.setenv("SHELL", f"/bin/{shell}")
        printed = run("completion")
        assert f"_FAQ_SEARCH_COMPLETE={shell}_complete" in printed.out
        assert run("completion", shell).out == printed.out

    @pytest.mark.parametrize(("words", "completes"), [("ba", "batch"), ("batch st", "status")])
    def test_completes(self, run, words, completes, monkeypatch):
        monkeypatch.setenv("_FAQ_SEARCH_COMPLETE", "bash_complete")
        monkeypatch.setenv("COMP_WORDS", f"faq-search {words}")
        monkeypatch.setenv("COMP_CWORD", str(len(words.split())))
        assert f"plain,{completes}" in run().out.splitlines()


class TestProcess:
    """What only a process of its own shows."""

    @pytest.mark.parametrize("option", ["--version", "--help"])
    def test_help_does_not_wait_for_the_http_client(self, option):
        command = [sys.executable, "-X", "importtime", "-m", "faq_search", option]
        shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        imported = {line.rpartition("|")[2].strip() for line in shown.stderr.splitlines()}
        assert "click" in imported
        assert not imported & {"httpx", "rich", "botocore", "corpus.reader", "matplotlib"}

    def test_ctrl_c_while_the_api_does_not_answer(self):
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            url = f"http://127.0.0.1:{silent.getsockname()[1]}"
            process = self.start("ask", "x", "--url", url, "--api-key", "k")
            silent.accept()
            process.send_signal(signal.SIGINT)
            assert process.communicate(timeout=20) == ("", "")
        assert process.returncode == 130

    @pytest.mark.parametrize("moment", ["click", "faq_search.parsing"])
    def test_ctrl_c_while_it_loads(self, moment):
        process = self.start("health", python=["-X", "importtime"])
        for line in process.stderr:
            if line.rpartition("|")[2].strip() == moment:
                break
        process.send_signal(signal.SIGINT)
        printed, said = process.communicate(timeout=20)
        assert process.returncode == 130
        assert "Traceback" not in printed + said

    def test_nobody_reads(self):
        process = self.start("completion", "bash")
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(timeout=20) == 141

    @staticmethod
    def start(*arguments, python=()):
        return subprocess.Popen(
            [sys.executable, *python, "-m", "faq_search", *arguments],
            cwd=ROOT,
            env={k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


@pytest.fixture
def corpus(fake_api, tmp_path):
    """A corpus that is deployed, faq.csv, and p.csv with a held-out question."""
    (tmp_path / "faq.csv").write_text("".join(f"Question {i}?,Answer {i}.\n" for i in range(20)))
    (tmp_path / "p.csv").write_text("question,id\nIn other words?,3\n")
    sha256 = describe(tmp_path / "faq.csv").sha256
    fake_api.answer(200, {**DEPLOYED, "corpus": {"sha256": sha256}})
    return tmp_path / "faq.csv"


class TestEvaluate:
    ASKED = ("evaluate", "--corpus", "faq.csv", "--paraphrases", "p.csv")

    @pytest.fixture
    def answers(self, fake_api, corpus):
        fake_api.answer(200, search_answer(*([str(i)] for i in range(16))))
        fake_api.answer(200, search_answer(["16"], ["17"], ["18"], ["0"]))
        fake_api.answer(200, search_answer(["1", "2", "3"]))

    def test_json(self, fake_api, answers, run):
        printed = run(*self.ASKED, "--json")
        assert printed.status == 0, printed.err
        assert [len(asked.body["queries"]) for asked in fake_api.asked[1:]] == [16, 4, 1]
        for asked in fake_api.asked[1:]:
            limits = {name: asked.body[name] for name in ("top_k", "min_score", "margin")}
            assert limits == {"top_k": 10, "min_score": -1, "margin": 0}
        report = json.loads(printed.out)
        own, other = report["scores"]["own"], report["scores"]["paraphrased"]
        assert (own["questions"], own["top_1"], own["top_3"]) == (20, 0.95, 0.95)
        assert (other["top_1"], other["top_3"], other["mrr_10"]) == (0, 1, pytest.approx(1 / 3))
        assert report["missed"]["own"][0]["question"] == "Question 19?"

    def test_on_a_terminal(self, answers, run):
        shown = run(*self.ASKED, width=160).out
        for text in ("minilm 2.0.1", "95.0 [", "In other words?", "3: Question 3?"):
            assert text in shown

    def test_into_a_pipe(self, answers, run):
        lines = [line.split("\t") for line in run(*self.ASKED).out.splitlines()]
        assert lines[0][:4] == ["scores", "own", "20", "95.0 [85.0, 100.0]"]
        assert lines[-1][:4] == ["missed, paraphrased", "3", "In other words?", "3: Question 3?"]

    def test_dash_is_no_file_of_that_name(self, answers, run, tmp_path):
        printed = run(*self.ASKED, "--json", "-")
        assert printed.status == 2
        assert not (tmp_path / "-").exists()

    def test_an_answer_that_several_entries_have_is_right_by_any_of_them(
        self, fake_api, corpus, run
    ):
        corpus.write_text("One?,Same.\nTwo?,Same.\nThree?,Other.\nOne?,Another.\n")
        fake_api.answers[0][1]["corpus"]["sha256"] = describe(corpus).sha256
        fake_api.answer(200, search_answer(["1"], ["0"], ["0"]))
        report = json.loads(run("evaluate", "--corpus", "faq.csv", "--json").out)
        assert fake_api.asked[1].body["queries"] == ["One?", "Two?", "Three?"]
        assert report["missed"]["own"][0]["right_ids"] == ["2"]
        assert report["scores"]["own"]["top_1"] == pytest.approx(2 / 3)

    def test_another_corpus_than_the_deployed_is_refused(self, fake_api, corpus, run):
        corpus.write_text(corpus.read_text() + "More?,Yes.\n")
        printed = run(*self.ASKED)
        assert printed.status == 1
        assert "not the corpus that is deployed" in printed.err
        assert len(fake_api.asked) == 1
