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
    Entry,
    describe,
    iter_corpus,
    read_corpus,
)


def write(tmp_path: Path, name: str, content: str | bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def problems_of(path: Path) -> list[str]:
    with pytest.raises(CorpusError) as caught:
        read_corpus(path, "faq")
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
        Entry("0", ("Who?",), "Me"),
        Entry("1", ("Why?",), "Because"),
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
    entries = read_corpus(write(tmp_path, name, content))
    assert entries == [Entry("a", (), "One"), Entry("b", (), "Two")]
    assert [entry.question for entry in entries] == [None, None]


def test_quoted_newlines_commas_and_quotes_are_kept(tmp_path):
    path = write(tmp_path, "f.csv", '"Q, ""one""?","line 1\r\nline 2\n\nline 4"\nQ2,A2\n')
    assert read_corpus(path) == [
        Entry("0", ('Q, "one"?',), "line 1\r\nline 2\n\nline 4"),
        Entry("1", ("Q2",), "A2"),
    ]


def test_any_language_and_unicode_line_separators(tmp_path):
    text = "Что это? 什么 🤖 e\u0301 \u2028 \u0085 مرحبا"
    assert read_corpus(write(tmp_path, "f.csv", f"{text},{text}\n")) == [Entry("0", (text,), text)]
    assert read_corpus(write(tmp_path, "f.jsonl", f'{{"answer":"{text}"}}\n')) == [
        Entry("0", (), text)
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
    entries = read_corpus(write(tmp_path, "f.csv", "Who?,Me\nWho?,Me\n"))
    assert [entry.id for entry in entries] == ["0", "1"]


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("f.csv", b"", "faq:1: the file is empty; a corpus has at least one entry"),
        ("f.csv", codecs.BOM_UTF8, "faq:1: no entries; a corpus has at least one entry"),
        ("f.csv", "\n\n", "faq:1: no entries"),
        ("f.jsonl", "\n \n", "faq:1: no entries"),
        ("f.json", "[]", "faq:1: no entries"),
        ("f.csv", "question,answer\n", "faq:1: no entries"),
        ("f.csv", "How?, \nWhy?,\n", "faq:1: 2 questions and no answer;"),
        ("f.jsonl", '{"answer":""}', "faq:1: no answer; a corpus has"),
        ("f.csv", "How?,So\nQ\n", "faq:2: 1 column: 'Q'; there is no header, so a row has two"),
        ("f.csv", "When?\nWhere?\n", "faq:1: one column and no header: 'When?';"),
        ("f.csv", "How?,So\nQ,A,more\n", "faq:2: 3 columns: 'Q' | 'A' | 'more'; there is no"),
        (
            "f.csv",
            "How?,So,one\nHow?,So,two\n",
            "faq:1: 3 columns and no header: 'How?' | 'So' | 'one'; ",
        ),
        ("f.csv", "id,text\n1,a,b\n", "faq:2: 3 columns: '1' | 'a' | 'b'; the header names 2: id,"),
        ("f.csv", "id,question\n1,Q\n", "faq:1: no column of answers; the header names id, quest"),
        ("f.csv", "id,text\na,x\nb,y\n\na,z\n", "faq:5: duplicate id 'a', first used in row 2;"),
        ("f.jsonl", '{"id":1,"text":"x"}\n{"id":"1","text":"y"}', "faq:2: duplicate id '1', first"),
        ("f.csv", "id,text\na,x\n ,x\n", "faq:3: no id; give every entry an id, or none"),
        (
            "f.csv",
            f"id,text\n{'i' * (MAX_ID_CHARACTERS + 1)},x\n",
            "faq:2: id of 257 characters; at most 256",
        ),
        ("f.jsonl", '{"id":1,"text":"x"}\n{"text":"y"}', "faq:2: no id; give every entry an id"),
        ("f.jsonl", '{"text":"x"}\n{"id":1,"text":"y"}', "faq:2: an id, '1', but entries before"),
        (
            "f.csv",
            b"How?,So\nQ,caf\xe9 au lait\n",
            "faq:2: not UTF-8: byte 0xe9 at byte offset 13. Save the file as UTF-8",
        ),
        (
            "f.csv",
            b'How?,So\n"multi\nline",\xff\n',
            "faq:3: not UTF-8: byte 0xff at byte offset 21",
        ),
        ("f.csv", "é,A\n".encode() + b"Q,\xff\n", "faq:2: not UTF-8: byte 0xff at byte offset 7"),
        (
            "f.jsonl",
            b'{"text":"A"}\n{"text":"\xff"}',
            "faq:2: not UTF-8: byte 0xff at byte offset 22",
        ),
        (
            "f.csv",
            "How?,So\n".encode("utf-16-be"),
            "faq:1: NUL bytes: this looks like UTF-16 without",
        ),
        ("f.csv", "How?,So\nQ,a\0b\n", "faq:2: NUL byte at byte offset 11; a corpus is plain text"),
        ("f.jsonl", r'{"text":"a\u0000b"}', r"faq:1: NUL character (\u0000);"),
        ("f.jsonl", r'{"text":"a\ud83d"}', "faq:1: half of a surrogate pair"),
        (
            "f.csv",
            f"How?,So\nQ,{'é' * (MAX_TEXT_BYTES // 2 + 1)}\n",
            "faq:2: too large: 100,002 bytes of answer; at most 100,000. Divide it",
        ),
        ("f.csv", f"{'q' * 100_001},A\n", "faq:1: too large: 100,001 bytes of question"),
        (
            "f.jsonl",
            f'{{"text":"A","x":"{"x" * 100_000}"}}',
            "faq:1: too large: 100,008 bytes of other columns",
        ),
        (
            "f.jsonl",
            f'{{"text":"A","questions":{[f"{n}{chr(120) * 90_000}" for n in range(12)]}}}'.replace(
                "'", '"'
            ),
            "faq:1: row too large: longer than 1,048,576 bytes;",
        ),
        ("f.csv", f"How?,So\nQ,{'x' * 200_000}\n", "faq:2: row too large: a text of more than"),
        ("f.jsonl", '{"text":"' + "x" * 1_048_576 + '"}', "faq:1: row too large: longer"),
        ("f.csv", 'How?,So\nQ,"open\nQ,A\nQ,A\n', "faq:2: unbalanced quote: a quote opened here"),
        ("f.csv", 'Q?,"open' + "\nQ,A" * 60_000, "faq:1: unbalanced quote: a quote opened here"),
        (
            "f.csv",
            'How?,So\n"Q"x,A\n',
            "faq:2: unbalanced quote in line 2: a quoted text is followed by something other than",
        ),
        ("f.csv", b"How?,So\nQ\rR,A\n", "faq:2: a carriage return without a line feed;"),
        ("f.jsonl", '{"text":"x"}\n[1]\n', "faq:2: no question or answer in the array;"),
        ("f.jsonl", '{"text":"x"}\n5\n', "faq:2: not an object but '5'; one object a line"),
        ("f.jsonl", '{"text":"x"}\n{"text"}\n', "faq:2: not JSON (Expecting ':' delimiter at"),
        ("f.jsonl", '{"text":' + "1" * 5000 + "}", "faq:1: a number of too many digits"),
        ("f.jsonl", '{"text":"x","n":-1e999}', "faq:1: the number '-1e999', which is too large"),
        ("f.json", '[{"text":"x"},\n{"text":2e308}]', "faq:1: the number '2e308', which is too"),
        ("f.jsonl", '{"text":' + "[" * 200_000, "faq:1: JSON nested too deeply"),
        ("f.jsonl", '{"answer":null}', "faq:1: no answer; a corpus has"),
        ("f.jsonl", '{"answer":true}', "faq:1: the answer is a JSON boolean; a string"),
        (
            "f.jsonl",
            '{"question":"Q","answer":{"x":1}}',
            "faq:1: the answer is a JSON object; a str",
        ),
        (
            "f.jsonl",
            '{"answer":"A","question":{"x":1}}',
            "faq:1: the value of 'question' is a JSON",
        ),
        ("f.jsonl", '{"answer":"A","id":1.5}', "faq:1: the id is a JSON number; a string or a"),
        ("f.jsonl", '{"answer":"A","id":true}', "faq:1: the id is a JSON boolean;"),
        (
            "f.exe",
            "How?,So\n",
            "faq: unknown suffix '.exe'; the suffix names the kind of file: .csv,",
        ),
    ],
)
def test_a_problem_is_named_by_file_and_row(tmp_path, name, content, expected):
    problems = problems_of(write(tmp_path, name, content))
    assert len(problems) == 1, problems
    assert problems[0].startswith(expected), problems[0]


def test_a_record_is_named_by_the_line_it_starts_on(tmp_path):
    path = write(tmp_path, "f.csv", '"Q","one\ntwo\nthree"\n\n"Q\n?"\nlast\n')
    assert [problem.split(": ")[0] for problem in problems_of(path)] == ["faq:5", "faq:7"]


def test_texts_at_the_limit_are_read(tmp_path):
    path = write(tmp_path, "f.csv", f"{'q' * MAX_TEXT_BYTES},{'é' * (MAX_TEXT_BYTES // 2)}\n")
    assert len(read_corpus(path)) == 1


def test_a_file_that_cannot_be_opened_is_a_problem(tmp_path):
    assert problems_of(tmp_path / "none.csv") == ["faq: cannot be read: No such file or directory"]
    assert problems_of(tmp_path) == ["faq: cannot be read: Is a directory"]


def test_problems_of_every_kind_are_collected_and_the_rest_counted(tmp_path):
    rows = ["id,question,answer", "x,Q,A", ",Q,A", "x,Q", "y,Q,A", *["y,Q,A"] * 30]
    path = write(tmp_path, "f.csv", "\n".join(rows))
    with pytest.raises(CorpusError) as caught:
        read_corpus(path, "faq")
    lines = str(caught.value).split("\n")
    assert [line.split(": ")[1].split(";")[0] for line in lines[:2]] == ["no id", "2 columns"]
    assert lines[2].startswith("faq:6: duplicate id 'y', first used in row 5")
    assert len(lines) == MAX_LISTED + 1
    assert lines[-1] == "and 12 more"
    assert (caught.value.file, caught.value.count) == ("faq", 32)
    assert caught.value.problems == tuple(lines[:-1])


def test_reading_goes_on_after_a_problem_in_a_quote(tmp_path):
    path = write(tmp_path, "f.csv", '"Q"x,A\nHow?,So\nQ\n')
    assert [problem.split(": ")[0] for problem in problems_of(path)] == ["faq:1", "faq:3"]


def test_messages_call_the_file_by_its_path_or_the_name_given(tmp_path):
    path = write(tmp_path, "f.csv", "")
    with pytest.raises(CorpusError, match=f"^{path}:1: "):
        read_corpus(path)
    with pytest.raises(CorpusError, match=r"^s3://bucket/f\.csv:1: "):
        describe(path, "s3://bucket/f.csv")


def test_no_entry_comes_after_a_problem_but_the_rest_is_checked(tmp_path):
    entries = iter_corpus(write(tmp_path, "f.csv", "How?,So\nQ\nQ,B\nQ\n"), "faq")
    assert next(entries).answer == "So"
    with pytest.raises(CorpusError) as caught:
        next(entries)
    assert caught.value.count == 2


def test_describe_measures_the_entries(tmp_path):
    path = write(tmp_path, "f.csv", codecs.BOM_UTF8 + b"question,answer\r\nQ,A\r\n\r\n,B")
    lines = b'{"id":"0","questions":["Q"],"answer":"A"}\n{"id":"1","questions":[],"answer":"B"}\n'
    info = describe(path)
    assert (info.sha256, info.bytes) == (hashlib.sha256(lines).hexdigest(), len(lines))
    assert (info.entries, info.has_questions) == (2, False)
    assert info.first == (Entry("0", ("Q",), "A"), Entry("1", (), "B"))
    assert describe(write(tmp_path, "g.csv", "How?,So\n")).has_questions
    assert not describe(write(tmp_path, "h.csv", ",So.\nHow?,So\n")).has_questions


def test_the_same_entries_have_the_same_hash_however_they_are_saved(tmp_path):
    files = {
        "a.csv": "question,answer,url\nWho?,Me,https://x\n",
        "b.csv": '\ufeffurl;Answer;Question\r\nhttps://x;"Me";Who?\r\n;;\r\n',
        "c.json": '{"faq": [{"question": "Who?", "answer": "Me", "link": "https://x"}]}',
        "d.yaml": "- question: Who?\n  answer: Me\n  url: https://x\n",
    }
    infos = [describe(write(tmp_path, name, content)) for name, content in files.items()]
    assert len({info.sha256 for info in infos}) == 1


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(deadline=None, max_examples=50)
@given(content=st.binary(max_size=60) | st.text('",;?\n\r{}[]:-aé\\u0', max_size=60))
def test_any_bytes_are_read_or_refused_with_sentences(tmp_path_factory, suffix, content):
    path = write(tmp_path_factory.getbasetemp(), f"any{suffix}", content)
    try:
        info = describe(path, "faq")
    except CorpusError as error:
        assert all(re.match(r"faq(:[^ ]+)?: .", line) for line in error.problems)
    else:
        assert info.entries == len(read_corpus(path)) > 0


def test_describe_checks_as_reading_does(tmp_path):
    path = write(tmp_path, "f.csv", "id,text\na,So\n,So\n,So\n")
    with pytest.raises(CorpusError) as caught:
        describe(path)
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
