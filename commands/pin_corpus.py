"""Pins a corpus in S3: `python -m commands pin-corpus s3://bucket/key` prints the settings for it.

The lines printed name the object's version and the sha256 of its bytes, so that a deployment uses
what was checked here, whatever is uploaded later. The object is downloaded once, in pieces, to a
temporary file.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from commands.errors import CommandError
from corpus.reader import STANDARD_SUFFIXES, describe

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client

_CHUNK = 1_048_576


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The object."""
    parser.add_argument("s3_uri", help="s3://bucket/key")
    parser.add_argument("--region", help="default: that of your AWS configuration")


def run(options: argparse.Namespace) -> int:
    """Prints the lines."""
    import boto3

    print(pin(boto3.client("s3", region_name=options.region), options.s3_uri))
    return 0


def pin(s3: S3Client, s3_uri: str) -> str:
    """The lines of the settings' `[corpus]` table for an object.

    Args:
        s3_uri: s3://bucket/key of a corpus, its suffix naming the format.

    Raises:
        CommandError: no such object, no access, or a bucket that keeps no versions.
        CorpusError: the object is not a corpus.
    """
    match = re.fullmatch(r"s3://([a-z0-9][a-z0-9.\-]{1,61}[a-z0-9])/(.+[^/])", s3_uri)
    if not match:
        raise CommandError(f"{s3_uri!r} is not an S3 address; one looks like s3://bucket/faq.csv")
    bucket, key = match.groups()
    suffix = Path(key).suffix
    if suffix.lower() not in STANDARD_SUFFIXES:
        raise CommandError(
            f"{s3_uri}: the bake does not read {suffix or 'a file without a suffix'}; allowed are"
            f" {', '.join(STANDARD_SUFFIXES)}. `python -m corpus convert` makes a .jsonl of any"
            " corpus; upload that"
        )
    try:
        response = s3.get_object(Bucket=bucket, Key=key)
        version_id = response.get("VersionId", "null")
        if version_id == "null":
            raise CommandError(_unversioned(bucket, s3_uri))
        with tempfile.NamedTemporaryFile(suffix=suffix) as copy:
            for chunk in response["Body"].iter_chunks(_CHUNK):
                copy.write(chunk)
            copy.flush()
            info = describe(Path(copy.name), s3_uri)
            size = copy.tell()
            copy.seek(0)
            sha256 = hashlib.file_digest(copy, "sha256").hexdigest()
    except ClientError as error:
        refusal = error.response["Error"]
        raise CommandError(
            f"{s3_uri}: S3 answered {refusal['Code']}: {refusal['Message']}. Reading it takes "
            "s3:GetObject on the object and s3:ListBucket on the bucket"
        ) from None
    except BotoCoreError as error:
        raise CommandError(f"{s3_uri}: {error}") from None
    return (
        f"# {info.entries:,} entries, {size:,} bytes"
        f"{'' if info.has_questions else ', not all with a question'}\n"
        "[corpus]\n"
        # A JSON string is a TOML basic string.
        f"s3_uri = {json.dumps(s3_uri, ensure_ascii=False)}\n"
        f"version_id = {json.dumps(version_id)}\n"
        f'sha256 = "{sha256}"'
    )


def _unversioned(bucket: str, s3_uri: str) -> str:
    return (
        f"{s3_uri} has no version, so what is deployed could change unseen. Turn versioning on:\n"
        f"  aws s3api put-bucket-versioning --bucket {bucket} "
        "--versioning-configuration Status=Enabled\n"
        "then upload the file again and repeat this command"
    )
