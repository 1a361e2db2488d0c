"""Proof of who asks: an API key, or AWS credentials (Signature Version 4)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

# method, whole URL, body -> headers that prove who asks
Signer = Callable[[str, str, bytes | None], dict[str, str]]

_AWS_HOST: Final = re.compile(r"\.execute-api\.([a-z0-9-]+)\.amazonaws\.com")


def api_key_signer(api_key: str) -> Signer:
    """Sends `api_key` with every request."""
    return lambda _method, _url, _body: {"x-api-key": api_key}


def iam_signer(url: str, region: str | None = None) -> Signer:
    """Signs with the credentials botocore finds: environment, profile, role.

    `region` defaults to that of an AWS URL, then to the configured one. Raises ValueError when
    botocore is not installed, or finds no credentials or region.
    """
    try:
        from botocore.auth import SigV4Auth  # noqa: PLC0415 - optional
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415
        from botocore.session import Session  # noqa: PLC0415
    except ImportError as error:
        raise ValueError(
            "Signing with AWS credentials needs botocore: pip install botocore."
        ) from error
    session = Session()
    in_url = _AWS_HOST.search(url)
    region = region or (in_url[1] if in_url else session.get_config_variable("region"))
    if not region:
        raise ValueError("No AWS region: give region, or set AWS_DEFAULT_REGION.")
    credentials = session.get_credentials()
    if credentials is None:
        raise ValueError("No AWS credentials: set a profile or AWS_ACCESS_KEY_ID.")

    def sign(method: str, url: str, body: bytes | None) -> dict[str, str]:
        request = AWSRequest(method, url, data=body)
        # Frozen at each request: credentials of a role are renewed on their way.
        SigV4Auth(credentials.get_frozen_credentials(), "execute-api", region).add_auth(request)
        return dict(request.headers.items())

    return sign
