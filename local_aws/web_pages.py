"""Keeps web pages away from what a browser on this machine can reach."""

from __future__ import annotations

from email.message import Message
from typing import TypeAlias

from werkzeug.datastructures import EnvironHeaders

Headers: TypeAlias = Message | EnvironHeaders | dict[str, str]

_NAMES = ("127.0.0.1", "localhost")


def web_page_refusal(headers: Headers, port: str, *, open_to_pages: bool = False) -> str | None:
    """Why a web page must have sent a request with these headers; None if a client may have.

    Signatures are not checked, so without this any page open in a browser on this machine could
    deploy code: by posting to the known port, or by pointing its own domain at 127.0.0.1 (DNS
    rebinding), which leaves that domain in `Host`. Browsers add `Origin` and `Sec-Fetch-Site`,
    which no page can remove.

    Args:
        port: Where the request arrived.
        open_to_pages: Whether it is for a deployed API or has a presigned URL of an object, which
            decide themselves what pages may do.
    """
    name, _, named_port = headers.get("Host", "").lower().partition(":")
    if name not in _NAMES or (named_port or "80") != port:
        return f"The local AWS answers at 127.0.0.1:{port} and localhost:{port} only."
    if open_to_pages:
        return None
    if "Origin" in headers or headers.get("Sec-Fetch-Site") in {"cross-site", "same-site"}:
        return (
            "The local AWS takes no requests from web pages, except to deployed APIs and with"
            " presigned URLs."
        )
    return None
