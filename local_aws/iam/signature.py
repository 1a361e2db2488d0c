"""Checks AWS Signature Version 4, in the headers or in the query string."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING
from urllib.parse import unquote

from botocore.auth import UNSIGNED_PAYLOAD, S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials

from local_aws.iam.principals import AccessKey

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_ALGORITHM = "AWS4-HMAC-SHA256"
_SKEW = timedelta(minutes=5)
_SKEW_S3 = timedelta(minutes=15)
_LONGEST = 7 * 24 * 3600
_TIME = "%Y%m%dT%H%M%SZ"
_FIELD = re.compile(r"(\w+)=([^,\s]+)")
_HEADERS = ("X-Amz-Date", "X-Amz-Security-Token")
# What S3 takes instead of a payload's hash. Chunks that are signed one by one are refused.
_UNSIGNED_PAYLOADS = {UNSIGNED_PAYLOAD, "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}
_HASH = re.compile(r"[0-9a-f]{64}")
_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your "
    "AWS Secret Access Key and signing method. Consult the service documentation for details."
)


class Fault(Enum):
    """Why a signature does not hold."""

    MISSING = "missing"
    INCOMPLETE = "incomplete"
    UNKNOWN_KEY = "unknown key"
    EXPIRED_TOKEN = "expired token"  # noqa: S105  no password
    INVALID = "invalid"


class SignatureError(Exception):
    """A request without a valid signature."""

    def __init__(self, fault: Fault, message: str) -> None:
        super().__init__(message)
        self.fault = fault
        self.message = message


@dataclass(frozen=True)
class SignedRequest:
    """A request as it was sent.

    Args:
        path: Percent-encoded as sent.
        query: As sent, without "?".
        header: Finds a header's value by its name in any case.
        amz_headers: Names, in lower case, of the headers that begin with "x-amz-".
        body: Called at most once, if the body was signed.
    """

    method: str
    path: str
    query: str
    header: Callable[[str], str | None]
    amz_headers: Iterable[str]
    body: Callable[[], bytes]

    @classmethod
    def of(cls, environ: WSGIEnvironment, body: Callable[[], bytes]) -> SignedRequest:
        """The request of a WSGI environment."""
        path, query = target_of(environ)

        def header(name: str) -> str | None:
            key = name.upper().replace("-", "_")
            # Names with underscores lead to the same keys.
            return environ.get(key if key in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{key}")

        amz = (
            key[5:].lower().replace("_", "-") for key in environ if key.startswith("HTTP_X_AMZ_")
        )
        return cls(environ["REQUEST_METHOD"], path, query, header, amz, body)


def target_of(environ: WSGIEnvironment) -> tuple[str, str]:
    """The path and the query string of a request, percent-encoded as sent."""
    target: str = environ.get("RAW_URI") or environ["PATH_INFO"]
    path, _, query = target.partition("?")
    if path.startswith("http"):
        path = "/" + "".join(path.split("/", 3)[3:])
    return path, query


@dataclass(frozen=True)
class Claim:
    """What a request says about its signature."""

    access_key: str
    date: str
    region: str
    service: str
    signed_headers: list[str]
    signature: str
    time: str
    token: str | None
    query: str
    valid_for: timedelta
    in_query: bool


def read_claim(request: SignedRequest) -> Claim:
    """Finds the signature in the header or in the query string.

    Raises:
        SignatureError: There is none, or a part of it is missing.
    """
    header = request.header("Authorization")
    query = [pair.partition("=") for pair in request.query.split("&")]
    values = {unquote(key): unquote(value) for key, _, value in query}
    if header:
        kind, _, rest = header.partition(" ")
        if kind != _ALGORITHM:
            raise _incomplete(f"Authorization header requires {_ALGORITHM}")
        values = {f"X-Amz-{name}": value for name, value in _FIELD.findall(rest)}
        values |= {name: value for name in _HEADERS if (value := request.header(name))}
        values["X-Amz-Expires"] = str(_SKEW.seconds)
    elif "X-Amz-Signature" not in values:
        raise SignatureError(Fault.MISSING, "Missing Authentication Token")
    try:
        access_key, date, region, service, last = values["X-Amz-Credential"].rsplit("/", 4)
        if last != "aws4_request":
            raise ValueError("a Credential that ends in aws4_request")
        signed = values["X-Amz-SignedHeaders"].lower().split(";")
        if "host" not in signed:
            raise ValueError("SignedHeaders that include host")
        seconds = int(values.get("X-Amz-Expires", "300"))
        if not 0 < seconds <= _LONGEST:
            raise ValueError("X-Amz-Expires of at most a week")
        return Claim(
            access_key=access_key,
            date=date,
            region=region,
            service=service,
            signed_headers=signed,
            signature=values["X-Amz-Signature"],
            time=values["X-Amz-Date"],
            token=values.get("X-Amz-Security-Token"),
            query="&".join(k + s + v for k, s, v in query if k != "X-Amz-Signature"),
            valid_for=_SKEW_S3 if header and service == "s3" else timedelta(seconds=seconds),
            in_query=not header,
        )
    except (KeyError, ValueError) as error:
        where = "Authorization header" if header else "The query string"
        raise _incomplete(f"{where} requires {error}") from error


def verify(
    request: SignedRequest, claim: Claim, find_key: Callable[[str], AccessKey | None]
) -> AccessKey:
    """Checks the signature; returns the key that it was made with.

    Args:
        find_key: Finds an access key by its id.

    Raises:
        SignatureError: It does not hold.
    """
    _check_time(claim)
    key = find_key(claim.access_key)
    # A user's key has no token; AWS refuses it with one.
    if key is None or (key.token or "") != (claim.token or ""):
        message = "The security token included in the request is invalid."
        raise SignatureError(Fault.UNKNOWN_KEY, message)
    if key.expires is not None and key.expires < _now():
        message = "The security token included in the request is expired"
        raise SignatureError(Fault.EXPIRED_TOKEN, message)
    # WSGI does not tell underscores in names of headers from dashes.
    signed_headers = {name.replace("_", "-") for name in claim.signed_headers}
    unsigned = set(request.amz_headers) - signed_headers
    if unsigned and claim.service == "s3":
        raise SignatureError(
            Fault.INVALID,
            f"There were headers present in the request which were not signed: {min(unsigned)}",
        )
    if not hmac.compare_digest(_signature(request, claim, key.secret), claim.signature):
        raise SignatureError(Fault.INVALID, _MISMATCH)
    return key


class _Verifier(SigV4Auth):  # type: ignore[misc, unused-ignore]
    """Signs all headers that it is given, which are those that the caller signed."""

    def __init__(self, key: Credentials, claim: Claim, payload_hash: str) -> None:
        super().__init__(key, claim.service, claim.region)
        self._payload_hash = payload_hash

    def headers_to_sign(self, request: AWSRequest) -> HTTPHeaders:
        return request.headers

    def payload(self, request: AWSRequest) -> str:
        del request
        return self._payload_hash


class _S3Verifier(_Verifier, S3SigV4Auth):  # type: ignore[misc, unused-ignore]
    """The same for S3, which takes paths as they are."""


def _signature(request: SignedRequest, claim: Claim, secret: str) -> str:
    url = f"http://{request.header('Host') or ''}{request.path}"
    signed = AWSRequest(method=request.method, url=f"{url}?{claim.query}" if claim.query else url)
    for name in claim.signed_headers:
        value = request.header(name)
        if value is not None:
            signed.headers[name] = value
    signed.context["timestamp"] = claim.time
    kind = _S3Verifier if claim.service == "s3" else _Verifier
    verifier = kind(Credentials(claim.access_key, secret), claim, _payload_hash(request, claim))
    canonical = verifier.canonical_request(signed)
    signature: str = verifier.signature(verifier.string_to_sign(signed, canonical), signed)
    return signature


def _check_time(claim: Claim) -> None:
    try:
        signed = datetime.strptime(claim.time, _TIME).replace(tzinfo=UTC)
    except ValueError as error:
        raise _incomplete("X-Amz-Date must be of the form 20300131T120000Z") from error
    if not claim.time.startswith(claim.date):
        raise _invalid("Date in Credential scope does not match YYYYMMDD from ISO-8601 version")
    now = _now()
    if signed + claim.valid_for < now:
        earliest = now - claim.valid_for
        raise _invalid(
            f"Signature expired: {claim.time} is now earlier than {earliest.strftime(_TIME)}"
        )
    latest = now + (_SKEW_S3 if claim.service == "s3" else _SKEW)
    if signed > latest:
        raise _invalid(
            f"Signature not yet current: {claim.time} is still later than {latest.strftime(_TIME)}"
        )


def _payload_hash(request: SignedRequest, claim: Claim) -> str:
    stated = request.header("X-Amz-Content-Sha256")
    if claim.service == "s3":
        if claim.in_query and "x-amz-content-sha256" not in claim.signed_headers:
            return UNSIGNED_PAYLOAD
        if stated in _UNSIGNED_PAYLOADS:
            return stated
        if stated is None or not _HASH.fullmatch(stated):
            raise _invalid(f"The local AWS does not take an x-amz-content-sha256 of {stated}")
    found = hashlib.sha256(request.body()).hexdigest()
    if stated and stated != found:
        raise _invalid(_MISMATCH)
    return found


def _now() -> datetime:
    return datetime.now(UTC)


def _invalid(message: str) -> SignatureError:
    return SignatureError(Fault.INVALID, message)


def _incomplete(message: str) -> SignatureError:
    return SignatureError(Fault.INCOMPLETE, message)
