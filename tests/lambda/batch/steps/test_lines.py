"""A batch's input: whole files, lines from a stream, and records from lines."""

from __future__ import annotations

import codecs
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.steps import BatchError
from batch.steps.lines import MAX_LINE_BYTES as LIMIT
from batch.steps.lines import RejectedLineError as Rejected
from batch.steps.lines import check_beginning, read_lines, read_record

ASTRAL = "\U0001f600"

GOOD = {
    "plain": (b'{"id": 1, "text_inputs": "a"}\n', {"id": 1, "text_inputs": "a"}),
    "no line end": (b'{"id": 1, "text_inputs": "a"}', {"id": 1, "text_inputs": "a"}),
    "CRLF": (b'{"id": 1, "text_inputs": "a"}\r\n', {"id": 1, "text_inputs": "a"}),
    "byte-order mark": (
        b'\xef\xbb\xbf{"id":"x","text_inputs":"a"}',
        {"id": "x", "text_inputs": "a"},
    ),
    "spaces around": (b' \t{"id": 1, "text_inputs": "a"} \n', {"id": 1, "text_inputs": "a"}),
    "more keys": (
        b'{"mode": 7, "id": 1, "text_inputs": "a", "b": [1e999]}',
        {"id": 1, "text_inputs": "a"},
    ),
    "escapes": (
        rb'{"id":"\u00e9\"\\","text_inputs":"\ud83d\ude00\n"}',
        {"id": 'é"\\', "text_inputs": ASTRAL + "\n"},
    ),
    "line separators": (
        '{"id":1,"text_inputs":"a\u2028b\u0085c"}'.encode(),
        {"id": 1, "text_inputs": "a\u2028b\u0085c"},
    ),
    "zero": (b'{"id": 0, "text_inputs": "a"}', {"id": 0, "text_inputs": "a"}),
    "negative": (b'{"id": -3, "text_inputs": "a"}', {"id": -3, "text_inputs": "a"}),
    "beyond 64 bits": (
        b'{"id": 340282366920938463463374607431768211456, "text_inputs": "a"}',
        {"id": 2**128, "text_inputs": "a"},
    ),
    "longest id": (
        json.dumps({"id": ASTRAL * 256, "text_inputs": "a"}).encode(),
        {"id": ASTRAL * 256, "text_inputs": "a"},
    ),
    "longest text": (
        json.dumps({"id": 1, "text_inputs": ASTRAL * 25_000}).encode(),
        {"id": 1, "text_inputs": ASTRAL * 25_000},
    ),
    "outer white space of a text": (
        b'{"id": 1, "text_inputs": " a "}',
        {"id": 1, "text_inputs": " a "},
    ),
    "a key twice": (b'{"id":1,"id":2,"text_inputs":"a"}', {"id": 2, "text_inputs": "a"}),
}
BAD = {
    "no JSON": (b"hello\n", "not JSON: Expecting value at character 1"),
    "cut off": (b'{"id": 1, "text_inputs": "a', "not JSON: Unterminated string"),
    "two objects": (b'{"id":1,"text_inputs":"a"}{"id":2}', "not JSON: Extra data"),
    "a raw tab in a string": (b'{"id":1,"text_inputs":"a\tb"}', "not JSON: Invalid control"),
    "a raw NUL": (b'{"id":1,"text_inputs":"a\0b"}', "not JSON: Invalid control"),
    "nothing but NUL": (b"\0\0\0", "not JSON"),
    "not UTF-8": (b'{"id":1,"text_inputs":"caf\xe9"}', "not UTF-8: byte 0xe9 at position 27"),
    "overlong UTF-8": (b'{"id":1,"text_inputs":"\xc0\xaf"}', "not UTF-8: byte 0xc0"),
    "a surrogate as UTF-8": (b'{"id":1,"text_inputs":"\xed\xa0\x80"}', "not UTF-8"),
    "a lone surrogate": (rb'{"id":1,"text_inputs":"\ud800"}', "it contains half a surrogate pair"),
    "a lone surrogate as id": (
        rb'{"id":"\udc00","text_inputs":"a"}',
        "it contains half a surrogate pair",
    ),
    "an escaped NUL": (rb'{"id":1,"text_inputs":"a\u0000"}', "text_inputs contains a NUL"),
    "an escaped NUL in the id": (rb'{"id":"\u0000","text_inputs":"a"}', "id contains a NUL"),
    "NaN": (b'{"id":1,"text_inputs":"a","score":NaN}', "it contains NaN"),
    "Infinity": (b'{"id":-Infinity,"text_inputs":"a"}', "it contains -Infinity"),
    "an array": (b'[{"id":1,"text_inputs":"a"}]', 'an array; a line is {"id": ..., '),
    "a string": (b'"a"', "a string; a line is"),
    "a number": (b"3", "a number; a line is"),
    "true": (b"true", "true; a line is"),
    "null": (b"null", "null; a line is"),
    "no id": (b'{"text_inputs":"a"}', "id is missing"),
    "id null": (b'{"id":null,"text_inputs":"a"}', "id is null"),
    "id true": (b'{"id":true,"text_inputs":"a"}', "id is true"),
    "id with a fraction": (b'{"id":1.0,"text_inputs":"a"}', "id is a number with a fraction"),
    "id with an exponent": (b'{"id":1e3,"text_inputs":"a"}', "id is a number with a fraction"),
    "id empty": (b'{"id":"","text_inputs":"a"}', "id is empty"),
    "id blank": (b'{"id":" ","text_inputs":"a"}', "id is empty"),
    "id a list": (b'{"id":[1],"text_inputs":"a"}', "id is an array"),
    "id too long": (
        json.dumps({"id": "x" * 257, "text_inputs": "a"}).encode(),
        "id has 257 characters; at most 256",
    ),
    "id of too many digits": (b'{"id":1%s,"text_inputs":"a"}' % (b"0" * 256), "id has 257"),
    "id of thousands of digits": (
        b'{"id":%s,"text_inputs":"a"}' % (b"1" * 5000),
        "a number of too many digits",
    ),
    "no text": (b'{"id":1}', "text_inputs is missing"),
    "text null": (b'{"id":1,"text_inputs":null}', "text_inputs is null"),
    "text a number": (b'{"id":1,"text_inputs":2}', "text_inputs is a number"),
    "text a list": (b'{"id":1,"text_inputs":["a"]}', "text_inputs is an array"),
    "text an object": (b'{"id":1,"text_inputs":{}}', "text_inputs is an object"),
    "text empty": (b'{"id":1,"text_inputs":""}', "text_inputs is empty"),
    "text blank": (b'{"id":1,"text_inputs":" \\n\\u00a0"}', "text_inputs is empty"),
    "text too long": (
        json.dumps({"id": 1, "text_inputs": "é" * 50_001}).encode(),
        "text_inputs has 100,002 bytes; at most 100,000",
    ),
    "nested too deeply": (b'{"id":1,"text_inputs":' + b"[" * 500_000, "JSON nested too deeply"),
    "nested too deeply in a key that is ignored": (
        b'{"id":1,"text_inputs":"a","x":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        "JSON nested too deeply",
    ),
    "an empty object": (b"{}", "id is missing"),
    "CSV": (b"id,text_inputs", "not JSON"),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_record_becomes_its_two_fields(name):
    line, expected = GOOD[name]
    assert json.loads(read_record(line)) == expected


@pytest.mark.parametrize("name", BAD)
def test_other_lines_are_rejected_with_a_reason(name):
    line, reason = BAD[name]
    with pytest.raises(Rejected) as caught:
        read_record(line)
    assert str(caught.value).startswith(reason)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("line", [b"\n", b"\r\n", b" \t\n", b"", codecs.BOM_UTF8, b"\x0b\x0c\n"])
def test_a_blank_line_is_neither_record_nor_reject(line):
    assert read_record(line) is None


@settings(deadline=None)
@given(
    st.one_of(st.integers(), st.text(min_size=1, max_size=256)),
    st.text(min_size=1, max_size=300),
    st.booleans(),
)
def test_every_record_arrives_as_it_was(given_id, text, ascii_only):
    line = json.dumps({"id": given_id, "text_inputs": text}, ensure_ascii=ascii_only)
    try:
        record = read_record(line.encode("utf-8", errors="surrogatepass") + b"\n")
    except Rejected:
        assert not text.strip() or not str(given_id).strip() or "\0" in f"{given_id}{text}"
    else:
        assert json.loads(record) == {"id": given_id, "text_inputs": text}
        assert b"\n" not in record


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_no_line_breaks_the_check(line):
    try:
        record = read_record(line)
    except Rejected:
        return
    assert record is None or json.loads(record).keys() == {"id", "text_inputs"}


def chunks_of(content: bytes, size: int) -> list[bytes]:
    return [content[start : start + size] for start in range(0, len(content), size)]


@settings(deadline=None)
@given(st.lists(st.binary(max_size=12).filter(lambda line: b"\n" not in line)), st.integers(1, 40))
def test_lines_do_not_depend_on_chunks(parts, size):
    *lines, last = parts or [b""]
    expected = [line + b"\n" for line in lines] + ([last] if last else [])
    assert list(read_lines(chunks_of(b"".join(expected), size))) == expected


class TestLongLines:
    SIZES = (LIMIT - 1, LIMIT, LIMIT + 1, LIMIT + 2, 2 * LIMIT + 2, 2 * LIMIT + 3, 5 * LIMIT)

    @pytest.mark.parametrize("size", SIZES)
    @pytest.mark.parametrize("chunk", [100_000, 262_144, LIMIT + 1, 10 * LIMIT])
    def test_come_in_pieces_that_do_not_depend_on_chunks(self, size, chunk):
        content = b"first\n" + b"x" * (size - 1) + b"\n" + b"last"
        lines = list(read_lines(chunks_of(content, chunk)))
        assert b"".join(lines) == content
        assert (lines[0], lines[-1]) == (b"first\n", b"last")
        pieces = lines[1:-1]
        assert all(len(piece) == LIMIT + 1 for piece in pieces[:-1])
        assert not any(piece.endswith(b"\n") for piece in pieces[:-1])
        assert pieces[-1].endswith(b"\n")
        # A line that is too long is recognized by the length of its first piece.
        assert (len(pieces[0]) > LIMIT) == (size > LIMIT)

    def test_need_no_more_memory_than_the_limit_and_a_chunk(self):
        held = []

        def endless():
            for number in range(64):
                yield b"x" * 262_144
                held.append(number)

        lines = read_lines(endless())
        next(lines)
        # A piece comes as soon as the limit is exceeded, not when the line ends.
        assert len(held) <= 5


class TestWholeFiles:
    @pytest.mark.parametrize(
        ("beginning", "found"),
        [
            (b"", "empty"),
            (b"\x1f\x8b\x08\0", "gzip"),
            (b"PK\x03\x04", "zip"),
            (b"BZh91AY", "bzip2"),
            (b"\xfd7zXZ\0", "xz"),
            (b"\x28\xb5\x2f\xfd\0", "zstd"),
            (b"PAR1\x15", "Parquet"),
            ('{"id"'.encode("utf-16"), "UTF-16"),
            (codecs.BOM_UTF16_BE + '{"id"'.encode("utf-16-be"), "UTF-16"),
            ('{"id"'.encode("utf-32"), "UTF-32"),
            (codecs.BOM_UTF32_BE + '{"id"'.encode("utf-32-be"), "UTF-32"),
            ('{"id"'.encode("utf-16-le"), "UTF-16"),
            ('{"id"'.encode("utf-16-be"), "UTF-16"),
        ],
    )
    def test_in_other_formats_are_refused(self, beginning, found):
        with pytest.raises(BatchError, match=found) as caught:
            check_beginning(beginning)
        assert str(caught.value).startswith("The file is")
        assert str(caught.value).endswith(".")

    @pytest.mark.parametrize(
        "beginning",
        [b"{", b"\n", b"x", b"\0\0\0\0", codecs.BOM_UTF8 + b"{", b'{"id', b"\xff", b"\0{", b"BZ\n"],
    )
    def test_that_begin_with_a_bad_line_at_worst_are_read(self, beginning):
        check_beginning(beginning)
