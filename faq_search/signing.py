"""Proof of who asks: an API key, a token, or AWS credentials (Signature Version 4)."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from faq_search.errors import InputError

# method, whole URL, body -> headers that prove who asks
Signer = Callable[[str, str, bytes | None], dict[str, str]]

_AWS_HOST: Final = re.compile(r"\.execute-api\.([a-z0-9-]+)\.amazonaws\.com")
_HEADER: Final = re.compile(r"[!-~]+")


def make_signer(
    url: str,
    *,
    api_key: str | None = None,
    token: str | None = None,
    iam: bool = False,
    region: str | None = None,
) -> Signer:
    """The signer for the one kind of proof that is given.

    Raises InputError for none or several, and as iam_signer.
    """
    if [api_key is not None, token is not None, iam].count(True) != 1:
        raise InputError("Give one of api_key, token and iam=True.")
    if iam:
        return iam_signer(url, region)
    return api_key_signer(api_key) if api_key is not None else token_signer(token or "")


def api_key_signer(api_key: str) -> Signer:
    """Sends `api_key` with every request."""
    _check(api_key, "API key")
    return lambda _method, _url, _body: {"x-api-key": api_key}


def token_signer(token: str) -> Signer:
    """Sends `token` as a bearer token with every request."""
    _check(token, "token")
    return lambda _method, _url, _body: {"Authorization": f"Bearer {token}"}


def _check(secret: str, what: str) -> None:
    if not _HEADER.fullmatch(secret):
        raise InputError(f"The {what} is empty, or has spaces or characters other than ASCII.")


def iam_signer(url: str, region: str | None = None, credentials_file: Path | None = None) -> Signer:
    """Signs with the credentials botocore finds: environment, profile, role.

    Args:
        region: default: that of an AWS URL, then the configured one.
        credentials_file: whose default profile is used instead, whatever the environment has.

    Raises InputError when botocore is not installed, or finds no credentials or region.
    """
    try:
        from botocore.auth import SigV4Auth  # noqa: PLC0415 - optional
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415
        from botocore.exceptions import BotoCoreError  # noqa: PLC0415
        from botocore.session import Session  # noqa: PLC0415
    except ImportError as error:
        raise InputError(
            "Signing with AWS credentials needs botocore: pip install botocore."
        ) from error
    session = Session(profile="default" if credentials_file else None)
    if credentials_file:
        session.set_config_variable("credentials_file", str(credentials_file))
    in_url = _AWS_HOST.search(url)
    try:
        region = region or (in_url[1] if in_url else session.get_config_variable("region"))
        credentials = session.get_credentials()
    except BotoCoreError as error:  # no such profile, an expired sign-in …
        raise InputError(f"No AWS credentials: {error}") from error
    if not region:
        raise InputError("No AWS region: give region, or set AWS_DEFAULT_REGION.")
    if credentials is None:
        raise InputError("No AWS credentials: set a profile or AWS_ACCESS_KEY_ID.")

    def sign(method: str, url: str, body: bytes | None) -> dict[str, str]:
        request = AWSRequest(method, url, data=body)
        # Frozen at each request: credentials of a role are renewed on their way.
        SigV4Auth(credentials.get_frozen_credentials(), "execute-api", region).add_auth(request)
        return dict(request.headers.items())

    return sign
