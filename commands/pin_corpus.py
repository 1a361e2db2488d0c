"""Pins a corpus in S3: `python -m commands.pin_corpus s3://bucket/key` prints the settings for it.

The lines printed name the object's version and the sha256 of its bytes, so that a deployment uses
what was checked here, whatever is uploaded later. The object is downloaded once, in pieces, to a
temporary file.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from corpus.reader import SUFFIXES, CorpusError, describe

_CHUNK = 1_048_576


class PinError(Exception):
    """The object cannot be pinned; the message says what to do."""


def pin(s3: Any, s3_uri: str) -> str:
    """The lines of the settings' `[corpus]` table for an object.

    Args:
        s3: a boto3 S3 client.
        s3_uri: s3://bucket/key of a corpus, its suffix naming the format.

    Raises:
        PinError: no such object, no access, or a bucket that keeps no versions.
        CorpusError: the object is not a corpus.
    """
    match = re.fullmatch(r"s3://([a-z0-9][a-z0-9.\-]{1,61}[a-z0-9])/(.+[^/])", s3_uri)
    if not match:
        raise PinError(f"{s3_uri!r} is not an S3 address; one looks like s3://bucket/faq.csv")
    bucket, key = match.groups()
    suffix = Path(key).suffix
    if suffix.lower() not in SUFFIXES:
        raise PinError(f"{s3_uri}: unknown suffix {suffix!r}; allowed are {', '.join(SUFFIXES)}")
    try:
        response = s3.get_object(Bucket=bucket, Key=key)
        version_id = response.get("VersionId", "null")
        if version_id == "null":
            raise PinError(_unversioned(bucket, s3_uri))
        with tempfile.NamedTemporaryFile(suffix=suffix) as copy:
            for chunk in response["Body"].iter_chunks(_CHUNK):
                copy.write(chunk)
            copy.flush()
            info = describe(Path(copy.name), s3_uri)
    except ClientError as error:
        fault = error.response["Error"]
        raise PinError(
            f"{s3_uri}: S3 answered {fault['Code']}: {fault['Message']}. Reading it takes "
            "s3:GetObject on the object and s3:ListBucket on the bucket"
        ) from None
    except BotoCoreError as error:
        raise PinError(f"{s3_uri}: {error}") from None
    return (
        f"# {info.entries:,} entries, {info.bytes:,} bytes"
        f"{'' if info.has_questions else ', not all with a question'}\n"
        "[corpus]\n"
        # A JSON string is a TOML basic string.
        f"s3_uri = {json.dumps(s3_uri, ensure_ascii=False)}\n"
        f"version_id = {json.dumps(version_id)}\n"
        f'sha256 = "{info.sha256}"'
    )


def _unversioned(bucket: str, s3_uri: str) -> str:
    return (
        f"{s3_uri} has no version, so what is deployed could change unseen. Turn versioning on:\n"
        f"  aws s3api put-bucket-versioning --bucket {bucket} "
        "--versioning-configuration Status=Enabled\n"
        "then upload the file again and repeat this command"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the lines; 0 on success, 1 after saying what is wrong."""
    parser = argparse.ArgumentParser(prog="python -m commands.pin_corpus", description=__doc__)
    parser.add_argument("s3_uri", help="s3://bucket/key")
    parser.add_argument("--region", help="default: that of your AWS configuration")
    given = parser.parse_args(arguments)
    try:
        print(pin(boto3.client("s3", region_name=given.region), given.s3_uri))
    except (CorpusError, PinError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
