"""The Lambda function that serves the console: static files, open to all, and no data.

The page asks the API as every caller does, with credentials that its user gives it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_STATIC: Final = Path(__file__).parent / "static"
_START: Final = "index.html"
# API Gateway passes on text alone unless an API says otherwise.
_TYPES: Final = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class _File:
    content: str
    media_type: str
    etag: str


def _file(name: str, content: str) -> _File:
    digest = hashlib.sha256(content.encode()).hexdigest()
    return _File(content, f"{_TYPES[Path(name).suffix]}; charset=utf-8", f'"{digest[:32]}"')


def _read_files(variables: Mapping[str, str]) -> dict[str, _File]:
    """Every file that may be asked for, by its name below `/console/`."""
    found = {path.name: path.read_text(encoding="utf-8") for path in _STATIC.iterdir()}
    # What the page must know before it can ask anything.
    found["config.json"] = json.dumps(
        {"auth": variables["API_AUTH"], "region": variables["AWS_REGION"]}
    )
    return {name: _file(name, content) for name, content in found.items()}


def _policy(upload_origin: str) -> str:
    """The Content-Security-Policy: nothing from elsewhere, no inline code, no markup from text.

    upload_origin: of the bucket that takes uploads and has results.
    """
    directives = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": f"'self' {upload_origin}",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }
    return "; ".join(f"{name} {sources}" for name, sources in directives.items())


_FILES: Final = _read_files(os.environ)
_HEADERS: Final = {
    "Cache-Control": "no-cache",  # kept, and asked for again with its ETag
    "Content-Security-Policy": _policy(os.environ["UPLOAD_ORIGIN"]),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Answers one API Gateway proxy event for `/console` or `/console/{proxy+}`."""
    name = (event.get("pathParameters") or {}).get("proxy", "")
    # The page's links begin with `console/`. From `…/console/` they lead to `console/console/`, and
    # API Gateway need not say whether a path ended in a slash.
    file = _FILES.get(name.removeprefix("console/") or _START)
    if file is None:
        return _answer(404, _not_found(event["requestContext"]["requestId"]))
    if file.etag in _tags(event.get("headers") or {}):
        return _answer(304, "", {"ETag": file.etag})
    return _answer(200, file.content, {"ETag": file.etag, "Content-Type": file.media_type})


def _answer(status: int, body: str, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    sent = {"Content-Type": "application/json", **_HEADERS, **(headers or {})}
    return {"statusCode": status, "headers": sent, "body": body}


def _not_found(request_id: str) -> str:
    """The error as the API words it."""
    return json.dumps(
        {"code": "not_found", "message": "There is no such path.", "request_id": request_id}
    )


def _tags(headers: Mapping[str, str]) -> list[str]:
    """The ETags that the browser already has."""
    sent = next((value for name, value in headers.items() if name.lower() == "if-none-match"), "")
    return [tag.strip().removeprefix("W/") for tag in sent.split(",")]
