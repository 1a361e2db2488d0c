"""The issuer's public keys: from the settings, or from where its discovery document says."""

from __future__ import annotations

import json
import math
import time
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from http.client import HTTPException
from typing import Any, Final

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

# What a key of each type signs with here.
ALGORITHMS: Final = {"RSA": "RS256", "EC": "ES256"}
_MEMBERS: Final = {"RSA": ("kty", "n", "e"), "EC": ("kty", "crv", "x", "y")}
_LEAST_RSA_BITS: Final = 2048

# Keys are fetched again after an hour; while that fails, they serve for a day.
MAX_AGE_SECONDS: Final = 3_600
MAX_STALE_SECONDS: Final = 86_400
# Between two fetches, however many tokens name a key that is not known; and after a failure.
PAUSE_SECONDS: Final = 60
PAUSE_AFTER_FAILURE_SECONDS: Final = 5
_TIMEOUT_SECONDS: Final = 3
_MAX_BYTES: Final = 262_144

Key = RSAKey | ECKey


class KeysUnavailableError(Exception):
    """The issuer's keys cannot be fetched."""


class IssuerKeys:
    """Finds a key by its id.

    Args:
        issuer: URL of the issuer.
        fixed: its keys, if they are not to be fetched.
        clock: returns seconds and never goes back.
    """

    def __init__(
        self,
        issuer: str,
        fixed: Iterable[Mapping[str, Any]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuer = issuer
        self._clock = clock
        self._is_fixed = fixed is not None
        self._keys = read_keys(fixed or ())
        self._fetched_at: float | None = None
        self._next_fetch = -math.inf

    def find(self, key_id: str | None) -> Key | None:
        """The key of this id; without an id, the only key. None if there is no such key.

        Raises KeysUnavailableError.
        """
        if not self._is_fixed:
            age = self._age()
            if age > MAX_AGE_SECONDS or (key_id not in self._keys and key_id is not None):
                self._fetch_again()
            if self._age() > MAX_STALE_SECONDS:
                raise KeysUnavailableError(f"no keys of {self._issuer}")
        if key_id is None and len(self._keys) == 1:
            return next(iter(self._keys.values()))
        return self._keys.get(key_id)

    def _age(self) -> float:
        return math.inf if self._fetched_at is None else self._clock() - self._fetched_at

    def _fetch_again(self) -> None:
        if self._clock() < self._next_fetch:
            return
        try:
            self._keys = read_keys(_fetch_keys(self._issuer))
            self._fetched_at = self._clock()
            self._next_fetch = self._clock() + PAUSE_SECONDS
        except (OSError, HTTPException, ValueError, TypeError, KeyError) as error:
            self._next_fetch = self._clock() + PAUSE_AFTER_FAILURE_SECONDS
            print(json.dumps({"level": "ERROR", "message": "keys not fetched", "why": repr(error)}))


def read_keys(found: Iterable[Mapping[str, Any]]) -> dict[str | None, Key]:
    """The keys of a JWKS that sign with RS256 or ES256, by their ids; others are left out."""
    keys: dict[str | None, Key] = {}
    for jwk in found:
        kind = jwk.get("kty")
        if kind not in ALGORITHMS or jwk.get("use", "sig") != "sig":
            continue
        if jwk.get("alg", ALGORITHMS[kind]) != ALGORITHMS[kind]:
            continue
        try:
            members = {name: jwk[name] for name in _MEMBERS[kind]}
            key = RSAKey.import_key(members) if kind == "RSA" else ECKey.import_key(members)
            bits = key.raw_value.key_size
        except (JoseError, ValueError, KeyError, TypeError):
            continue
        if bits >= _LEAST_RSA_BITS if kind == "RSA" else members["crv"] == "P-256":
            keys[jwk.get("kid")] = key
    return keys


def _fetch_keys(issuer: str) -> list[dict[str, Any]]:
    discovered = _get_json(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
    if discovered["issuer"] != issuer:
        raise ValueError(f"the document is of another issuer: {discovered['issuer']!r}")
    url = str(discovered["jwks_uri"])
    if not url.startswith(("https://", "http://") if issuer.startswith("http://") else "https://"):
        raise ValueError(f"the keys are not at an https URL: {url!r}")
    keys: list[dict[str, Any]] = _get_json(url)["keys"]
    return keys


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect could lead to a place without TLS, or into the network of the function."""

    def redirect_request(self, *_: Any) -> None:
        """Follows none."""


_opener = urllib.request.build_opener(_NoRedirects)


def _get_json(url: str) -> Any:
    with _opener.open(url, timeout=_TIMEOUT_SECONDS) as response:
        content = response.read(_MAX_BYTES + 1)
    if len(content) > _MAX_BYTES:
        raise ValueError(f"{url} has more than {_MAX_BYTES} bytes")
    return json.loads(content)
