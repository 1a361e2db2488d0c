"""Reading a corpus: formats, ids, encodings, and the name of every problem."""

from __future__ import annotations

import codecs
import hashlib
import re
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.errors import MAX_LISTED
from corpus.reader import (
    MAX_ID_CHARACTERS,
    MAX_TEXT_BYTES,
    SUFFIXES,
    CorpusError,
    CorpusInfo,
    Entry,
    describe,
    iter_corpus,
    read_corpus,
)


def write(tmp_path: Path, name: str, content: str | bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def problems_of(path: Path, embed="answer") -> list[str]:
    with pytest.raises(CorpusError) as caught:
        read_corpus(path, "faq", embed=embed)
    return str(caught.value).split("\n")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("headerless.csv", "Who?,Me\nWhy?,Because\n"),
        ("no_final_newline.csv", "Who?,Me\nWhy?,Because"),
        ("crlf.csv", "Who?,Me\r\nWhy?,Because\r\n"),
        ("bom.csv", codecs.BOM_UTF8 + b"Who?,Me\nWhy?,Because\n"),
        ("bom_header.csv", codecs.BOM_UTF8 + b"question,answer\nWho?,Me\nWhy?,Because\n"),
        ("header.csv", "question,answer\nWho?,Me\nWhy?,Because\n"),
        ("header_any_order_and_case.csv", " Answer ,QUESTION\nMe,Who?\nBecause,Why?\n"),
        ("header_plural.csv", "Questions,Answers\nWho?,Me\nWhy?,Because\n"),
        ("header_with_ids.csv", "answer,id,question\nMe,0,Who?\nBecause,1,Why?\n"),
        ("blank_lines.csv", "\nWho?,Me\n\n\nWhy?,Because\n\n"),
        ("UPPER.CSV", "Who?,Me\nWhy?,Because\n"),
        (
            "lines.jsonl",
            '{"question": "Who?", "answer": "Me"}\r\n\n{"text": "Because", "question": "Why?"}',
        ),
        (
            "ids.json",
            '{"id": 0, "question": "Who?", "answer": "Me"}\n'
            '{"id": "1", "question": "Why?", "answer": "Because"}\n',
        ),
    ],
)
def test_formats_that_say_the_same_read_the_same(tmp_path, name, content):
    assert read_corpus(write(tmp_path, name, content)) == [
        Entry("0", "Who?", "Me"),
        Entry("1", "Why?", "Because"),
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("text.csv", "id,text\na,One\nb,Two\n"),
        ("text.jsonl", '{"id":"a","text":"One"}\n{"id":"b","answer":"Two","question":null}\n'),
        ("blank_question.csv", "id,question,answer\na,,One\nb, ,Two\n"),
    ],
)
def test_texts_without_a_question(tmp_path, name, content):
    assert read_corpus(write(tmp_path, name, content)) == [
        Entry("a", None, "One"),
        Entry("b", None, "Two"),
    ]


def test_quoted_newlines_commas_and_quotes_are_kept(tmp_path):
    path = write(tmp_path, "f.csv", '"Q, ""one""?","line 1\r\nline 2\n\nline 4"\nQ2,A2\n')
    assert read_corpus(path) == [
        Entry("0", 'Q, "one"?', "line 1\r\nline 2\n\nline 4"),
        Entry("1", "Q2", "A2"),
    ]


def test_any_language_and_unicode_line_separators(tmp_path):
    text = "Что это? 什么 🤖 e\u0301 \u2028 \u0085 مرحبا"
    assert read_corpus(write(tmp_path, "f.csv", f"{text},{text}\n")) == [Entry("0", text, text)]
    assert read_corpus(write(tmp_path, "f.jsonl", f'{{"answer":"{text}"}}\n')) == [
        Entry("0", None, text)
    ]


@settings(deadline=None)
@given(st.lists(st.tuples(st.text(min_size=1), st.text(min_size=1)), min_size=1, max_size=8))
def test_whatever_the_csv_module_writes_is_read_back(tmp_path_factory, rows):
    import csv

    def usable(text: str) -> bool:
        # Surrogates cannot be UTF-8; a blank text is a problem or no question; NUL is a problem.
        return not text.isspace() and "\0" not in text and text.isprintable()

    rows = [row for row in rows if all(map(usable, row))]
    path = tmp_path_factory.mktemp("corpus") / "f.csv"
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("Question", "answer"), *rows])
    if rows:
        assert [(entry.question, entry.answer) for entry in read_corpus(path)] == rows


def test_exact_duplicates_are_allowed(tmp_path):
    entries = read_corpus(write(tmp_path, "f.csv", "Q,A\nQ,A\n"))
    assert [entry.id for entry in entries] == ["0", "1"]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("f.csv", b"", "faq:1: the file is empty; a corpus has at least one entry"),
        ("f.csv", codecs.BOM_UTF8, "faq:1: no entries; a corpus has at least one entry"),
        ("f.csv", "\n\n", "faq:2: no entries"),
        ("f.jsonl", "\n \n", "faq:2: no entries"),
        ("f.csv", "question,answer\n", "faq:1: no entries"),
        ("f.csv", "Q,A\nQ, \n", "faq:2: no text: the answer is empty"),
        ("f.jsonl", '{"answer":""}', "faq:1: no text"),
        ("f.csv", "Q,A\nQ\n", "faq:2: 1 column; a header has answer (or text)"),
        ("f.csv", "Q;A\n", "faq:1: 1 column (columns are separated by commas, not ';')"),
        ("f.csv", "Q,A\nQ,A,more\n", "faq:2: 3 columns;"),
        ("f.csv", "id,text\n1,a,b\n", "faq:2: 3 columns; the header names 2: id, text"),
        ("f.csv", "id,question\n1,Q\n", "faq:1: missing column answer; found id, question;"),
        ("f.csv", "id,body\n1,x\n", "faq:1: unknown column 'body'; a header has answer"),
        ("f.csv", "answer,text\na,b\n", "faq:1: a column twice in answer, text;"),
        ("f.csv", "id,text\na,x\nb,y\n\na,z\n", "faq:5: duplicate id 'a', first used in row 2;"),
        ("f.jsonl", '{"id":1,"text":"x"}\n{"id":"1","text":"y"}', "faq:2: duplicate id '1', first"),
        ("f.csv", "id,text\n ,x\n", "faq:2: empty id;"),
        (
            "f.csv",
            f"id,text\n{'i' * (MAX_ID_CHARACTERS + 1)},x\n",
            "faq:2: id of 257 characters; at most 256",
        ),
        ("f.jsonl", '{"id":1,"text":"x"}\n{"text":"y"}', "faq:2: no id; give every entry an id"),
        ("f.jsonl", '{"text":"x"}\n{"id":1,"text":"y"}', "faq:2: an id, but entries before it"),
        (
            "f.csv",
            b"Q,A\nQ,caf\xe9 au lait\n",
            "faq:2: not UTF-8: byte 0xe9 at byte offset 9 (invalid continuation byte); save",
        ),
        ("f.csv", b'Q,A\n"multi\nline",\xff\n', "faq:2: not UTF-8: byte 0xff at byte offset 17"),
        ("f.csv", "é,A\n".encode() + b"Q,\xff\n", "faq:2: not UTF-8: byte 0xff at byte offset 7"),
        (
            "f.jsonl",
            b'{"text":"A"}\n{"text":"\xff"}',
            "faq:2: not UTF-8: byte 0xff at byte offset 22",
        ),
        ("f.csv", "Q,A\n".encode("utf-16"), "faq:1: the file is UTF-16; save it as UTF-8"),
        ("f.csv", "Q,A\nQ,a\0b\n", "faq:2: NUL byte at byte offset 7; a corpus is plain text"),
        ("f.jsonl", r'{"text":"a\u0000b"}', r"faq:1: NUL character (\u0000);"),
        ("f.jsonl", r'{"text":"a\ud83d"}', "faq:1: half of a surrogate pair"),
        (
            "f.csv",
            f"Q,A\nQ,{'é' * (MAX_TEXT_BYTES // 2 + 1)}\n",
            "faq:2: row too large: the answer has 100,002 bytes; at most 100,000",
        ),
        ("f.csv", f"{'q' * 100_001},A\n", "faq:1: row too large: the question has 100,001"),
        ("f.csv", f"Q,A\nQ,{'x' * 200_000}\n", "faq:2: row too large: a text of more than"),
        ("f.jsonl", '{"text":"' + "x" * 1_048_576 + '"}', "faq:1: row too large: line 1 is longer"),
        ("f.csv", 'Q,A\nQ,"open\nQ,A\nQ,A\n', "faq:2: unbalanced quote: a quote opened here"),
        ("f.csv", 'Q,"open' + "\nQ,A" * 60_000, "faq:1: unbalanced quote: a quote opened here"),
        (
            "f.csv",
            'Q,A\n"Q"x,A\n',
            "faq:2: unbalanced quote, between lines 2 and 2: a quoted text is followed by",
        ),
        ("f.csv", b"Q,A\rQ,A\r", "faq:1: a carriage return without a line feed;"),
        ("f.jsonl", '{"text":"x"}\n[1]\n', "faq:2: a JSON array; one object a line is allowed"),
        ("f.json", '[\n{"text":"x"}\n]', "faq:1: a JSON array over the whole file; one object"),
        ("f.jsonl", '{"text":"x"}\n{"text"}\n', "faq:2: not JSON (Expecting ':' delimiter at"),
        ("f.jsonl", '{"text":' + "1" * 5000 + "}", "faq:1: a number of too many digits;"),
        ("f.jsonl", '{"text":' + "[" * 200_000, "faq:1: JSON nested too deeply;"),
        ("f.jsonl", '{"question":"Q"}', "faq:1: missing answer; allowed are answer (or text)"),
        ("f.jsonl", '{"answer":"A","text":"A"}', "faq:1: both answer and text;"),
        ("f.jsonl", '{"answer":"A","qestion":"Q"}', "faq:1: unknown key 'qestion'; allowed"),
        ("f.jsonl", '{"answer":null}', "faq:1: the answer is a JSON null; a string is allowed"),
        ("f.jsonl", '{"answer":"A","question":[]}', "faq:1: the question is a JSON array;"),
        ("f.jsonl", '{"answer":"A","id":1.5}', "faq:1: the id is a JSON number; a string or a"),
        ("f.jsonl", '{"answer":"A","id":true}', "faq:1: the id is a JSON boolean;"),
        ("f.txt", "Q,A\n", "faq: unknown suffix '.txt'; allowed are .csv, .json, .jsonl, .ndjson"),
    ],
)
def test_a_problem_is_named_by_file_and_row(tmp_path, name, content, expected):
    problems = problems_of(write(tmp_path, name, content))
    assert len(problems) == 1, problems
    assert problems[0].startswith(expected), problems[0]


def test_a_record_is_named_by_the_line_it_starts_on(tmp_path):
    path = write(tmp_path, "f.csv", '"Q","one\ntwo\nthree"\n\n"Q\n?",""\nlast,\n')
    assert [problem.split(": ")[0] for problem in problems_of(path)] == ["faq:5", "faq:7"]


def test_texts_at_the_limit_are_read(tmp_path):
    path = write(tmp_path, "f.csv", f"{'q' * MAX_TEXT_BYTES},{'é' * (MAX_TEXT_BYTES // 2)}\n")
    assert len(read_corpus(path)) == 1


def test_a_file_that_cannot_be_opened_is_a_problem(tmp_path):
    assert problems_of(tmp_path / "none.csv") == ["faq: cannot be read: No such file or directory"]
    assert problems_of(tmp_path) == ["faq: cannot be read: Is a directory"]


def test_problems_of_every_kind_are_collected_and_the_rest_counted(tmp_path):
    rows = ["id,question,answer", ",Q,A", "x,Q", "y,Q,", *["y,Q,A"] * 30]
    path = write(tmp_path, "f.csv", "\n".join(rows))
    with pytest.raises(CorpusError) as caught:
        read_corpus(path, "faq")
    lines = str(caught.value).split("\n")
    assert [line.split(": ")[1].split(";")[0] for line in lines[:3]] == [
        "empty id",
        "2 columns",
        "no text",
    ]
    assert lines[3].startswith("faq:5: duplicate id 'y', first used in row 4")
    assert len(lines) == MAX_LISTED + 1
    assert lines[-1] == "and 13 more"
    assert (caught.value.file, caught.value.count) == ("faq", 33)
    assert caught.value.problems == tuple(lines[:-1])


def test_reading_goes_on_after_a_problem_in_a_quote(tmp_path):
    path = write(tmp_path, "f.csv", '"Q"x,A\nQ,A\nQ\n')
    assert [problem.split(": ")[0] for problem in problems_of(path)] == ["faq:1", "faq:3"]


def test_messages_call_the_file_by_its_path_or_the_name_given(tmp_path):
    path = write(tmp_path, "f.csv", "")
    with pytest.raises(CorpusError, match=f"^{path}:1: "):
        read_corpus(path)
    with pytest.raises(CorpusError, match=r"^s3://bucket/f\.csv:1: "):
        describe(path, "s3://bucket/f.csv")


@pytest.mark.parametrize("embed", ["question", "both"])
def test_embedding_questions_needs_them(tmp_path, embed):
    path = write(tmp_path, "f.csv", "question,answer\nQ,A\n,A\nQ,A\n ,A\n")
    problems = problems_of(path, embed)
    assert [problem.split(": ")[0] for problem in problems] == ["faq:3", "faq:5"]
    assert problems[0].endswith(
        f'no question; embed = "{embed}" needs one in every entry (embed = "answer" does not)'
    )
    assert len(read_corpus(path, embed="answer")) == 4


def test_no_entry_comes_after_a_problem_but_the_rest_is_checked(tmp_path):
    entries = iter_corpus(write(tmp_path, "f.csv", "Q,A\nQ,\nQ,B\nQ,\n"), "faq")
    assert next(entries).answer == "A"
    with pytest.raises(CorpusError) as caught:
        next(entries)
    assert caught.value.count == 2


def test_describe_measures_the_file(tmp_path):
    content = codecs.BOM_UTF8 + b"question,answer\r\nQ,A\r\n\r\n,B"
    path = write(tmp_path, "f.csv", content)
    digest = hashlib.sha256(content).hexdigest()
    assert describe(path) == CorpusInfo(digest, len(content), 2, has_questions=False)
    assert describe(write(tmp_path, "g.csv", "Q,A\n")).has_questions
    assert not describe(write(tmp_path, "h.csv", ",A\nQ,A\n")).has_questions


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(deadline=None)
@given(content=st.binary(max_size=60) | st.text('",\n\r{}[]:aé\\u0', max_size=60))
def test_any_bytes_are_read_or_refused_with_sentences(tmp_path_factory, suffix, content):
    path = write(tmp_path_factory.getbasetemp(), f"any{suffix}", content)
    try:
        info = describe(path, "faq")
    except CorpusError as error:
        assert all(re.match(r"faq:\d+: .", line) for line in error.problems)
    else:
        assert info.entries == len(read_corpus(path)) > 0


def test_describe_checks_as_reading_does(tmp_path):
    path = write(tmp_path, "f.csv", ",A\nQ,\n")
    with pytest.raises(CorpusError) as caught:
        describe(path, embed="both")
    assert caught.value.count == 2


def test_iteration_takes_constant_memory(tmp_path):
    path = tmp_path / "f.csv"
    with path.open("w") as stream:
        stream.writelines(f"What is {number}?,{'text ' * 50}\n" for number in range(20_000))
    tracemalloc.start()
    try:
        count = sum(1 for _ in iter_corpus(path))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 20_000
    assert peak < 1_000_000 < path.stat().st_size


def test_reading_a_corpus_needs_nothing_but_the_standard_library():
    import subprocess
    import sys

    import corpus

    root = Path(corpus.__file__).parents[1]
    # -S: without the installed packages.
    code = f"import sys; sys.path.insert(0, {str(root)!r}); import corpus.__main__"
    subprocess.run([sys.executable, "-I", "-S", "-c", code], check=True)
