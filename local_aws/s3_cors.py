"""What web pages may do with presigned URLs of objects, as S3 decides it by a bucket's CORS rules.

A page needs the URL, whose signature the gate checks as any other. The rules only tell the browser
which pages may read the answers, and may send what a form cannot.
"""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote

from werkzeug.wrappers import Response

from local_aws import moto_adapter
from local_aws.moto_adapter import CorsRule
from local_aws.service_errors import ApiError, error_response, signed_service

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_METHODS = {"GET", "HEAD", "PUT", "OPTIONS"}
_VARY = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"


def is_presigned(environ: WSGIEnvironment) -> bool:
    """Whether a request has a presigned URL of an object, and nothing else that names a caller."""
    _, bucket, key = [*environ.get("PATH_INFO", "").split("/", 2), "", ""][:3]
    return (
        bool(bucket and key)
        and "X-Amz-Signature=" in environ.get("QUERY_STRING", "")
        and environ["REQUEST_METHOD"] in _METHODS
        and "HTTP_AUTHORIZATION" not in environ
        and "HTTP_X_AMZ_TARGET" not in environ
        and signed_service(environ) == "s3"
    )


def answer_preflight(environ: WSGIEnvironment) -> Response:
    """The answer to a browser that asks whether a page may send a request."""
    method = environ.get("HTTP_ACCESS_CONTROL_REQUEST_METHOD", "")
    names = _listed(environ.get("HTTP_ACCESS_CONTROL_REQUEST_HEADERS", ""))
    rule = _rule(environ, method, names)
    if rule is None:
        message = "CORSResponse: This CORS request is not allowed."
        return error_response(environ, ApiError(message, "AccessForbidden", 403))
    headers = _headers(rule, environ)
    if names:
        headers.append(("Access-Control-Allow-Headers", ", ".join(names)))
    return Response(status=200, headers=headers)


def with_headers(environ: WSGIEnvironment, start_response: StartResponse) -> StartResponse:
    """Answers with what lets the page read the answer, if a rule says that it may."""
    rule = _rule(environ, environ["REQUEST_METHOD"], [])
    if rule is None:
        return start_response
    added = _headers(rule, environ)

    def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Callable[..., object]:
        return start_response(status, [*headers, *added], *rest)

    return cast("StartResponse", start)


def _rule(environ: WSGIEnvironment, method: str, names: list[str]) -> CorsRule | None:
    """The bucket's first rule that lets a page make this request."""
    origin = environ.get("HTTP_ORIGIN")
    if origin is None:
        return None
    bucket = unquote(environ["PATH_INFO"].split("/", 2)[1])
    for rule in moto_adapter.cors_rules(bucket):
        if (
            method in rule.methods
            and _matches(origin, rule.origins)
            and all(_matches(name, rule.headers) for name in names)
        ):
            return rule
    return None


def _matches(value: str, patterns: list[str]) -> bool:
    """A pattern may have one `*`; the other characters stand for themselves."""
    lower = value.lower()
    return any(
        fnmatchcase(lower, pattern.lower().replace("[", "[[]").replace("?", "[?]"))
        for pattern in patterns
    )


def _headers(rule: CorsRule, environ: WSGIEnvironment) -> list[tuple[str, str]]:
    any_origin = "*" in rule.origins
    found = [
        ("Access-Control-Allow-Origin", "*" if any_origin else environ["HTTP_ORIGIN"]),
        ("Access-Control-Allow-Methods", ", ".join(rule.methods)),
        ("Vary", _VARY),
    ]
    if not any_origin:
        found.append(("Access-Control-Allow-Credentials", "true"))
    if rule.exposed:
        found.append(("Access-Control-Expose-Headers", ", ".join(rule.exposed)))
    if rule.max_age is not None:
        found.append(("Access-Control-Max-Age", rule.max_age))
    return found


def _listed(value: str) -> list[str]:
    return [name.strip() for name in value.split(",") if name.strip()]
