"""The index's parameter, its ids and the lines of the transform, and what AWS's model says."""

from __future__ import annotations

import json
from dataclasses import replace

import botocore.session
import pytest
from botocore.validate import validate_parameters

from contract import vector_index
from contract.vector_index import VectorIndex, index_id

INDEX = VectorIndex("i" * 40, "bucket", "bake-1", "sha", "hybrid", 384, 2, 3)


def test_the_parameter_reads_back() -> None:
    assert VectorIndex.from_json(INDEX.to_json()) == INDEX
    later = json.dumps({**json.loads(INDEX.to_json()), "unknown": 1})
    assert VectorIndex.from_json(later) == INDEX


@pytest.mark.parametrize(
    "text",
    [
        *("", "{}", "null", "[]", '"text"'),
        replace(INDEX, entries="2").to_json(),
        replace(INDEX, entries=True).to_json(),
        replace(INDEX, index_id=1).to_json(),
    ],
)
def test_another_value_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a vector index"):
        VectorIndex.from_json(text)


def test_everything_that_decides_an_index_is_in_its_id() -> None:
    first = index_id("bake", "corpus", "hybrid")
    assert first == "a452094f656cbbb411c1f9f13884dda7c9edc201"
    assert first == index_id("bake", "corpus", "hybrid")
    others = {
        index_id("bake2", "corpus", "hybrid"),
        index_id("bake", "corpus2", "hybrid"),
        index_id("bake", "corpus", "answer"),
    }
    assert len(others | {first}) == 4


def test_an_index_can_be_created() -> None:
    shape = botocore.session.get_session().get_service_model("s3vectors")
    model = shape.operation_model("CreateIndex").input_shape
    request = {
        "vectorBucketName": "bucket",
        "indexName": index_id("bake", "corpus", "hybrid"),
        **vector_index.index_configuration(384),
    }
    validate_parameters(request, model)
    assert len(request["metadataConfiguration"]["nonFilterableMetadataKeys"]) <= 10


def test_keys_name_their_entry() -> None:
    for entry_id in ("1", "a/b", "0/0", "ä"):
        for number in (0, 17):
            key = vector_index.vector_key(entry_id, number)
            assert vector_index.entry_id_of_key(key) == entry_id
    first = json.dumps({"key": vector_index.vector_key("1")}, separators=(",", ":")).encode()
    assert first.startswith(vector_index.ENTRY_START)
    assert first.startswith(vector_index.VECTOR_START)


def test_lines_of_the_corpus_become_one_line() -> None:
    given = [b'\xef\xbb\xbf{"id":"1"}\r\n', b" \n", '{"id":"2\u2028\x85"}'.encode(), b"{wrong"]
    line = vector_index.entries_line(given, 7)
    assert line.endswith(b"\n")
    assert len(line.decode().splitlines()) == 1
    lines = ['{"id":"1"}', "", '{"id":"2\u2028\x85"}', "{wrong"]
    assert json.loads(line) == {"first_line": 7, "lines": lines}
    with pytest.raises(UnicodeDecodeError):
        vector_index.entries_line([b"\xff"], 1)


def test_what_is_left_out_says_why() -> None:
    wrong = vector_index.read_left_out(b'{"id":"1","error":"too large"}')
    assert (wrong.entry_id, wrong.reason, wrong.error) == ("1", "too large", True)
    blank = vector_index.read_left_out(b'{"id":null,"left_out":"it has no answer"}')
    assert (blank.entry_id, blank.reason, blank.error) == (None, "it has no answer", False)
    for line in (b"", b"{}", b"[]", b'{"id":"1"}'):
        with pytest.raises(ValueError, match="not a line"):
            vector_index.read_left_out(line)
