"""An index of Amazon S3 Vectors that holds a corpus: its vectors, and how they come into it.

The corpus's JSON lines go to a transform job in groups (`entries_line`). The container answers with
a line for each vector, which is a member of PutVectors' `vectors` as it stands, and a line for each
entry that it cannot take. container/serving/entries.py writes them; it cannot import this module.

An entry has one vector: the mean of the views that its ranking compares a query with (see
docs/ranking.md), at unit length. A further question, and a further passage of a long answer, makes
one more vector. What the mean loses is in the metadata (`VIEWS`), and so are the words (`TERMS`):
the hundred nearest are scored as an endpoint scores.

Limits: https://docs.aws.amazon.com/AmazonS3/latest/userguide/s3-vectors-limitations.html
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from contract.parameter_value import ParameterValue

FORMAT: Final = 1
"""Of vectors and metadata. What reads or writes them otherwise is another format."""

# Limits of the service.
MAX_VECTORS_PUT: Final = 500
MAX_VECTORS_GOT: Final = 100
MAX_TOP_K: Final = 100
MAX_REQUEST_BYTES: Final = 20 * 1024 * 1024
# AWS writes 40 KB and 2 KB, which may mean 1,024 bytes or 1,000.
MAX_METADATA_BYTES: Final = 40_000
MAX_FILTERABLE_BYTES: Final = 2_000

CATEGORY: Final = "category"
"""The categories of an entry, a list of texts; the only metadata to filter by. Absent without."""
QUESTIONS: Final = "questions"
"""The questions of an entry, the main one first. Absent without."""
ANSWER: Final = "answer"
FIELDS: Final = "fields"
"""What else the corpus says of the entry, as the JSON text of an object. Absent without."""
PASSAGE: Final = "passage"
"""The vector's passage of the answer, without markup. Absent where the model reads all of it."""
TERMS: Final = "terms"
"""Base64 of little-endian uint32, one for each term of the entry's texts: 24 bits that stand for
the term, above 8 for how often it stands there, 255 at most. The container names a query's terms by
the same bits."""
LENGTH: Final = "length"
"""The length of the mean before it was scaled: times the cosine, it gives the mean cosine. Absent
where the vector is not a mean."""
VIEWS: Final = "views"
"""Base64 of the question's and the answer's vectors, of unit length: two little-endian float32, by
which the numbers that follow are to be multiplied, and for each vector an int8 for each dimension.
The third view is three times the mean, less these two. Absent where the vector is not a mean."""

_NOT_FILTERABLE: Final = (QUESTIONS, ANSWER, FIELDS, PASSAGE, TERMS, LENGTH, VIEWS)

# Of the transform's input.
MAX_GROUP_ENTRIES: Final = 256
MAX_GROUP_BYTES: Final = 1_000_000
MAX_ANSWER_BYTES: Final = 5_500_000
"""What `answer_bytes` of a group's lines may add up to; the server sends 6,553,500 at most."""

# Of the transform's output.
VECTOR_START: Final = b'{"key":"'
"""What the line of a vector begins with."""
ENTRY_START: Final = b'{"key":"0/'
"""What the line of an entry's first vector begins with: there are as many as entries."""

# A passage of 206 tokens of three bytes.
_LEAST_PASSAGE_BYTES: Final = 618
# The longest text of a float32 (-0.0000095130945), with its comma.
_NUMBER_BYTES: Final = 17
# Two int8 a dimension in base64.
_VIEW_BYTES: Final = 3
_REST_BYTES: Final = 600
# Some readers end lines at these too, and JSON need not escape them.
_SEPARATORS: Final = tuple((each, f"\\u{ord(each):04x}") for each in "\x85\u2028\u2029")
_encode: Final = json.JSONEncoder(ensure_ascii=False).encode


def index_id(bake_id: str, corpus_sha256: str, ranking: str) -> str:
    """The id of an index, by which it is also named: 40 hex digits.

    Args:
        bake_id: of the artifact that embeds the corpus and the queries.
        ranking: `hybrid`, `answer` or `question`.
    """
    parts = {
        "format": FORMAT,
        "bake_id": bake_id,
        "corpus_sha256": corpus_sha256,
        "ranking": ranking,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:40]


def index_configuration(dimension: int) -> dict[str, Any]:
    """The arguments of CreateIndex that say what an index holds."""
    return {
        "dataType": "float32",
        "dimension": dimension,
        "distanceMetric": "cosine",
        "metadataConfiguration": {"nonFilterableMetadataKeys": list(_NOT_FILTERABLE)},
    }


def vector_key(entry_id: str, number: int = 0) -> str:
    """The key of one of an entry's vectors; each entry has number 0."""
    return f"{number}/{entry_id}"


def entry_id_of_key(key: str) -> str:
    """The entry that a vector belongs to."""
    return key.partition("/")[2]


def entries_line(lines: Sequence[bytes], first_line: int) -> bytes:
    """A line of the transform's input: a group of the corpus's lines, whatever is in them.

    A wrong line affects no other. Blank lines may be among them.

    Args:
        first_line: its number in the corpus, from 1, for messages.

    Raises:
        UnicodeDecodeError: a line is not UTF-8.
    """
    texts = ",".join([_encode(line.decode("utf-8-sig").strip()) for line in lines])
    for separator, escape in _SEPARATORS:
        texts = texts.replace(separator, escape)
    return f'{{"first_line":{first_line},"lines":[{texts}]}}\n'.encode()


def answer_bytes(line_bytes: int, dimension: int) -> int:
    """About how long the answer to one of the corpus's lines is at most."""
    # The terms, too, take about as much as the texts.
    vector = 2 * line_bytes + (_NUMBER_BYTES + _VIEW_BYTES) * dimension + _REST_BYTES
    return (1 + line_bytes // _LEAST_PASSAGE_BYTES) * vector


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An entry without vectors: `error` fails the build, otherwise it has no answer to find."""

    entry_id: str | None
    reason: str
    error: bool


def read_left_out(line: bytes) -> LeftOut:
    """An output line that does not begin with VECTOR_START. Raises ValueError if it is neither."""
    try:
        members = json.loads(line)
        error = "error" in members
        reason = members["error" if error else "left_out"]
        return LeftOut(members["id"], str(reason), error)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not a line of the transform: {line[:200]!r}") from error


@dataclass(frozen=True, slots=True)
class VectorIndex(ParameterValue):
    """The value of `Names.index_parameter`: what `POST /search` asks, once all of it is there.

    bake_id: of the artifact that made the vectors; only its endpoints may embed queries.
    entries, vectors: how many the index holds.
    """

    called: ClassVar[str] = "a vector index"

    index_id: str
    vector_bucket: str
    bake_id: str
    corpus_sha256: str
    ranking: str
    dimension: int
    entries: int
    vectors: int
