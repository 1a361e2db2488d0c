"""Pinning a corpus in S3: the lines of the settings, or what to do."""

from __future__ import annotations

import hashlib
import io
import tomllib

import boto3
import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

from commands.__main__ import main
from commands.errors import CommandError
from commands.pin_corpus import pin
from corpus.reader import CorpusError

URI = "s3://my-bucket/faqs/Fragen & ü 🤖.csv"
KEY = "faqs/Fragen & ü 🤖.csv"


@pytest.fixture
def s3():
    client = boto3.client(
        "s3", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    with Stubber(client) as stubber:
        client.stubber = stubber
        yield client
        stubber.assert_no_pending_responses()


def answer(s3, body: bytes, version_id: str | None, key: str = KEY) -> None:
    response = {"Body": StreamingBody(io.BytesIO(body), len(body))}
    if version_id is not None:
        response["VersionId"] = version_id
    s3.stubber.add_response("get_object", response, {"Bucket": "my-bucket", "Key": key})


def test_the_lines_are_toml_that_names_version_and_hash(s3):
    body = (b"So," + b"A" * 496 + b"\n") * 3000
    answer(s3, body, "v.1_x-")
    lines = pin(s3, URI)
    assert tomllib.loads(lines) == {
        "corpus": {
            "s3_uri": URI,
            "version_id": "v.1_x-",
            "sha256": hashlib.sha256(body).hexdigest(),
        }
    }
    assert lines.startswith("# 3,000 entries, 1,500,000 bytes\n")


def test_what_is_missing_for_embedding_questions_is_reported(s3):
    answer(s3, b"text\nA\n", "v1")
    assert ", not all with a question\n" in pin(s3, URI)


@pytest.mark.parametrize("version_id", [None, "null"])
def test_an_object_without_a_version_is_refused_with_the_remedy(s3, version_id):
    answer(s3, b"How?,So\n", version_id)
    with pytest.raises(CommandError) as caught:
        pin(s3, URI)
    assert (
        "aws s3api put-bucket-versioning --bucket my-bucket "
        "--versioning-configuration Status=Enabled\nthen upload the file again"
    ) in str(caught.value)


def test_a_wrong_corpus_is_refused_by_its_s3_name(s3):
    answer(s3, b"How?,So\nWhy?\n", "v1")
    with pytest.raises(CorpusError) as caught:
        pin(s3, URI)
    assert str(caught.value).startswith(f"{URI}:2: 1 column")


def test_an_answer_of_s3_becomes_a_sentence(s3):
    s3.stubber.add_client_error("get_object", "NoSuchKey", "The key does not exist.", 404)
    with pytest.raises(CommandError, match="S3 answered NoSuchKey: The key does not exist"):
        pin(s3, URI)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("my-bucket/faq.csv", "is not an S3 address"),
        ("s3://My_Bucket/faq.csv", "is not an S3 address"),
        ("s3://my-bucket/", "is not an S3 address"),
        ("s3://my-bucket/faq.xlsx", r"the bake does not read \.xlsx; allowed are \.csv"),
    ],
)
def test_wrong_addresses_are_refused_without_asking(s3, uri, message):
    with pytest.raises(CommandError, match=message):
        pin(s3, uri)


def test_the_command_prints_the_lines_or_the_error(s3, capsys, monkeypatch):
    regions = []

    def client(service, region_name):
        regions.append((service, region_name))
        return s3

    monkeypatch.setattr(boto3, "client", client)
    answer(s3, b"How?,So\n", "v1", "faq.csv")
    assert main(["pin-corpus", "s3://my-bucket/faq.csv", "--region", "eu-west-1"]) == 0
    assert 'version_id = "v1"' in capsys.readouterr().out
    assert regions == [("s3", "eu-west-1")]
    assert main(["pin-corpus", "nonsense"]) == 1
    assert "is not an S3 address" in capsys.readouterr().err
