"""Input files are split into request bodies."""

from __future__ import annotations

from pathlib import Path

import pytest

from local_aws.sagemaker.transform_records import PayloadTooLargeError, split


def bodies(path: Path, content: bytes, *, limit: int = 10, **how: bool) -> list[bytes]:
    file = path / "input"
    file.write_bytes(content)
    return list(split(file, limit=limit, **{"by_line": True, "many": False, **how}))


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", []),
        (b"a\nbc\n", [b"a", b"bc"]),
        (b"a\nbc", [b"a", b"bc"]),
        (b"a\n\nbc\n", [b"a", b"", b"bc"]),
        (b"a\r\nb\xe2\x80\xa8c\n", [b"a\r", b"b\xe2\x80\xa8c"]),
        (b"0123456789\nx\n", [b"0123456789", b"x"]),
    ],
)
def test_lines_one_by_one(tmp_path: Path, content: bytes, lines: list[bytes]) -> None:
    assert bodies(tmp_path, content) == lines


@pytest.mark.parametrize(
    ("content", "packs"),
    [
        (b"", []),
        (b"abc\ndef\nghi\n", [b"abc\ndef\n", b"ghi\n"]),
        (b"abcd\nefgh\nij", [b"abcd\nefgh\n", b"ij"]),
        (b"0123456789\nab\n", [b"0123456789\n", b"ab\n"]),
    ],
)
def test_as_many_lines_as_fit(tmp_path: Path, content: bytes, packs: list[bytes]) -> None:
    assert bodies(tmp_path, content, many=True) == packs


@pytest.mark.parametrize("many", [False, True])
def test_a_line_that_is_too_long_is_found_where_it_is(tmp_path: Path, many: bool) -> None:
    file = tmp_path / "input"
    file.write_bytes(b"abcdefghi\n0123456789x\nz\n")
    found = split(file, by_line=True, many=many, limit=10)
    if not many:
        assert next(found) == b"abcdefghi"
    with pytest.raises(PayloadTooLargeError, match="Too much data for max payload size"):
        list(found)


def test_a_whole_file_is_one_body(tmp_path: Path) -> None:
    assert bodies(tmp_path, b"a\nb\n", by_line=False) == [b"a\nb\n"]
    with pytest.raises(PayloadTooLargeError):
        bodies(tmp_path, b"0123456789x", by_line=False)
