"""Where the API is: the command line, the environment, or what `make local` wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from faq_search.api import FaqSearch

LOCAL_FILE: Final = Path(".local/api.json")


def connect(
    environment: Mapping[str, str],
    *,
    url: str | None = None,
    api_key: str | None = None,
    iam: bool = False,
    region: str | None = None,
    local_file: Path = LOCAL_FILE,
) -> FaqSearch:
    """A client of the API that is named first: arguments, then environment, then `local_file`.

    The environment has FAQ_SEARCH_URL and FAQ_SEARCH_API_KEY; the file `url` and either `api_key`
    or `"auth": "iam"`. A key goes only to the URL it was given with. Raises ValueError with what
    is missing.
    """
    url = url or environment.get("FAQ_SEARCH_URL")
    if url:
        api_key = api_key or environment.get("FAQ_SEARCH_API_KEY")
    else:
        local = _read(local_file)
        url = local["url"]
        iam = iam or local.get("auth") == "iam"
        api_key = api_key or local.get("api_key")
        region = region or local.get("region")
    if iam:
        return FaqSearch(url, iam=True, region=region)
    if not api_key:
        raise ValueError("No API key: give --api-key or FAQ_SEARCH_API_KEY, or sign with --iam.")
    return FaqSearch(url, api_key=api_key)


def _read(path: Path) -> dict[str, str]:
    try:
        local = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(
            f"No API to ask: start one with `make local` (it writes {path}), or give --url."
        ) from None
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    if not isinstance(local, dict) or not isinstance(local.get("url"), str):
        raise ValueError(f'{path} has no "url".')
    return local
