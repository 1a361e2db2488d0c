"""Checks AWS Signature Version 4, in the headers or in the query string."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.compat import HTTPHeaders
from botocore.credentials import Credentials

from local_aws import moto_adapter
from local_aws.api_gateway.gateway_responses import GatewayError
from local_aws.api_gateway.request import ApiRequest
from local_aws.context import ACCESS_KEY_ID, SECRET_ACCESS_KEY
from local_aws.moto_adapter import AccessKey

_ALGORITHM = "AWS4-HMAC-SHA256"
_SERVICE = "execute-api"
_LOCAL_ARN = "arn:aws:iam::123456789012:user/local"
_SKEW = timedelta(minutes=5)
_TIME = "%Y%m%dT%H%M%SZ"
_FIELD = re.compile(r"(\w+)=([^,\s]+)")
_HEADERS = ("X-Amz-Date", "X-Amz-Security-Token")
_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your "
    "AWS Secret Access Key and signing method. Consult the service documentation for details."
)


@dataclass(frozen=True)
class _Claim:
    access_key: str
    date: str
    region: str
    service: str
    signed_headers: list[str]
    signature: str
    time: str
    token: str | None
    query_string: str
    valid_for: timedelta


class _Verifier(SigV4Auth):  # type: ignore[misc, unused-ignore]
    """Signs the headers that the caller signed rather than those that botocore would choose."""

    def __init__(self, credentials: Credentials, region: str, names: list[str]) -> None:
        super().__init__(credentials, _SERVICE, region)
        self._names = set(names)

    def headers_to_sign(self, request: AWSRequest) -> HTTPHeaders:
        chosen = HTTPHeaders()
        for name, value in request.headers.items():
            if name.lower() in self._names:
                chosen[name.lower()] = value
        return chosen


def verify(request: ApiRequest, region: str) -> None:
    """Checks the signature of a request and adds the caller to the request's context.

    Accepts the local AWS's own credentials and those that its IAM and STS issued. The caller's
    permissions are not checked.

    Raises:
        GatewayError: There is no signature, or it is not valid.
    """
    claim = _read_claim(request)
    if claim.region != region:
        raise _invalid(f"Credential should be scoped to a valid region, not '{claim.region}'.")
    if claim.service != _SERVICE:
        raise _invalid(f"Credential should be scoped to correct service: '{_SERVICE}'.")
    _check_time(claim)
    key = _access_key(claim)
    if key.token is not None and claim.token != key.token:
        raise _unrecognised()
    if "host" not in claim.signed_headers:
        raise _invalid("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
    if not hmac.compare_digest(_signature(request, claim, key.secret), claim.signature):
        raise _invalid(_MISMATCH)
    request.context |= {
        "identity.accessKey": claim.access_key,
        "identity.accountId": key.arn.split(":")[4],
        "identity.caller": key.principal_id,
        "identity.user": key.principal_id,
        "identity.userArn": key.arn,
    }


def _read_claim(request: ApiRequest) -> _Claim:
    header = request.headers.get("Authorization")
    query = [pair.partition("=") for pair in request.query_string.split("&")]
    values = {unquote(key): unquote(value) for key, _, value in query}
    if header:
        kind, _, rest = header.partition(" ")
        if kind != _ALGORITHM:
            raise _incomplete(f"Authorization header requires {_ALGORITHM}")
        values = {f"X-Amz-{name}": value for name, value in _FIELD.findall(rest)}
        values |= {name: request.headers[name] for name in _HEADERS if name in request.headers}
        values["X-Amz-Expires"] = str(_SKEW.seconds)
    elif "X-Amz-Signature" not in values:
        raise GatewayError("MISSING_AUTHENTICATION_TOKEN")
    try:
        access_key, date, region, service, last = values["X-Amz-Credential"].rsplit("/", 4)
        if last != "aws4_request":
            raise ValueError("a Credential that ends in aws4_request")
        return _Claim(
            access_key=access_key,
            date=date,
            region=region,
            service=service,
            signed_headers=values["X-Amz-SignedHeaders"].lower().split(";"),
            signature=values["X-Amz-Signature"],
            time=values["X-Amz-Date"],
            token=values.get("X-Amz-Security-Token"),
            query_string="&".join(k + s + v for k, s, v in query if k != "X-Amz-Signature"),
            valid_for=timedelta(seconds=int(values.get("X-Amz-Expires", "300"))),
        )
    except (KeyError, ValueError) as error:
        where = "Authorization header" if header else "The query string"
        raise _incomplete(f"{where} requires {error}") from error


def _check_time(claim: _Claim) -> None:
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
    if signed > now + _SKEW:
        latest = now + _SKEW
        raise _invalid(
            f"Signature not yet current: {claim.time} is still later than {latest.strftime(_TIME)}"
        )


def _access_key(claim: _Claim) -> AccessKey:
    if claim.access_key == ACCESS_KEY_ID:
        return AccessKey(_LOCAL_ARN, ACCESS_KEY_ID, SECRET_ACCESS_KEY, None, None)
    known = moto_adapter.find_access_key(claim.access_key)
    if known is None:
        raise _unrecognised()
    if known.expires is not None and known.expires < _now():
        raise GatewayError("EXPIRED_TOKEN", "The security token included in the request is expired")
    return known


def _signature(request: ApiRequest, claim: _Claim, secret: str) -> str:
    url = f"http://{request.headers.get('Host', '')}{request.url_path}"
    if claim.query_string:
        url += f"?{claim.query_string}"
    signed = AWSRequest(method=request.method, url=url, data=request.body)
    for name, value in request.headers.items():
        signed.headers[name] = value
    stated = request.headers.get("X-Amz-Content-Sha256")
    if stated and not hmac.compare_digest(stated, hashlib.sha256(request.body).hexdigest()):
        raise _invalid(_MISMATCH)
    signed.context["timestamp"] = claim.time
    verifier = _Verifier(Credentials(claim.access_key, secret), claim.region, claim.signed_headers)
    canonical = verifier.canonical_request(signed)
    signature: str = verifier.signature(verifier.string_to_sign(signed, canonical), signed)
    return signature


def _now() -> datetime:
    return datetime.now(UTC)


def _invalid(message: str) -> GatewayError:
    return GatewayError("INVALID_SIGNATURE", message)


def _incomplete(message: str) -> GatewayError:
    # AWS's gateway response for this and the next error is unverified.
    return GatewayError("INVALID_SIGNATURE", message, error_type="IncompleteSignatureException")


def _unrecognised() -> GatewayError:
    return GatewayError(
        "INVALID_SIGNATURE",
        "The security token included in the request is invalid.",
        error_type="UnrecognizedClientException",
    )
