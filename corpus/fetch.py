"""Fetches the data set of AWS's walk-through, Amazon_SageMaker_FAQs, from JumpStart's bucket."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import AbstractContextManager
from http.client import HTTPException
from pathlib import Path
from typing import Any

from corpus.reader import CorpusError, CorpusInfo, describe

DEFAULT_REGION = "us-west-2"
KEY = "training-datasets/Amazon_SageMaker_FAQs/Amazon_SageMaker_FAQs.csv"
FILE_NAME = KEY.rpartition("/")[2]
MAX_BYTES = 100_000_000
TIMEOUT_SECONDS = 30.0

_CHUNK = 65_536

Open = Callable[..., AbstractContextManager[Any]]
Progress = Callable[[int, int | None], None]


class FetchError(Exception):
    """The data set could not be fetched; the message says what to do instead."""


def fetch(
    output: Path,
    region: str = DEFAULT_REGION,
    *,
    progress: Progress | None = None,
    open_url: Open = urllib.request.urlopen,
) -> CorpusInfo:
    """Downloads the data set over plain HTTPS, without credentials, and checks it.

    Args:
        output: a `.csv` file; replaced only by a download that is a valid corpus.
        region: selects the JumpStart bucket.
        progress: called with the bytes received and, if the server says so, the bytes in all.
        open_url: opens the address, as `urllib.request.urlopen` does.

    Raises:
        FetchError: no connection, an answer other than the file, or a file that is not a corpus.
    """
    if output.suffix.lower() != ".csv":
        raise FetchError(f"{output}: the data set is CSV; give a file name that ends with .csv")
    if not re.fullmatch(r"[a-z]{2,}(-[a-z]+)+-\d+", region):
        raise FetchError(f"{region!r} is not an AWS region; one looks like us-west-2")
    url = _url(region)
    partial = output.with_name(f".{output.stem}.part{output.suffix}")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        _download(url, partial, progress, open_url)
        info = describe(partial, str(output))
        partial.replace(output)
    except CorpusError as error:
        raise FetchError(f"{url} is not a corpus this project can read:\n{error}") from None
    except urllib.error.HTTPError as error:
        raise FetchError(
            f"{url} answered {error.code} {error.reason}.\n{_by_hand(output, region)}"
        ) from None
    except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", None) or error
        raise FetchError(
            f"{url} cannot be reached: {reason}.\n{_by_hand(output, region)}"
        ) from None
    except OSError as error:
        raise FetchError(f"{output} cannot be written: {error.strerror or error}") from None
    finally:
        partial.unlink(missing_ok=True)
    return info


def _url(region: str) -> str:
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"https://jumpstart-cache-prod-{region}.s3.{region}.{suffix}/{KEY}"


def _by_hand(output: Path, region: str) -> str:
    return (
        "On a machine that can reach the bucket, run\n"
        f"  aws s3 cp --no-sign-request --region {region} "
        f"s3://jumpstart-cache-prod-{region}/{KEY} {FILE_NAME}\n"
        "(without --no-sign-request if that is refused and you have credentials), put the file at\n"
        f"  {output}\n"
        f"and check it with: python -m corpus validate {output}"
    )


def _download(url: str, file: Path, progress: Progress | None, open_url: Open) -> None:
    request = urllib.request.Request(url)  # noqa: S310 - the address is made here, https only
    with open_url(request, timeout=TIMEOUT_SECONDS) as response, file.open("wb") as stream:
        length = response.headers.get("Content-Length")
        total = int(length) if length else None
        received = 0
        while chunk := response.read(_CHUNK):
            received += len(chunk)
            if received > MAX_BYTES:
                raise FetchError(f"{url} is larger than {MAX_BYTES:,} bytes; not downloaded")
            stream.write(chunk)
            if progress:
                progress(received, total)
    if total is not None and received < total:
        raise ConnectionError(f"it sent {received:,} of {total:,} bytes")
