"""Checks the bearer token of a caller: a JWT that an OpenID Connect issuer has signed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jws import JWSRegistry

from authorizer.access import UnauthorizedError, answer, bearer_token
from authorizer.keys import ALGORITHMS, IssuerKeys, Key

# How far the issuer's clock may differ.
_LEEWAY_SECONDS: Final = 10


class RefusedError(Exception):
    """The token is not valid; the message says why, for the log."""


class TokenChecker:
    """Checks tokens of one issuer, made for one of some audiences.

    Args:
        keys: of the issuer.
        audiences: a token names one of them in `aud` or, if it has none, in `client_id`.
        scopes: a token has each of them, in `scope` or `scp`.
        passed_on: scopes that the functions behind the API want to know of.
    """

    def __init__(
        self,
        issuer: str,
        audiences: Iterable[str],
        scopes: Iterable[str],
        keys: IssuerKeys,
        passed_on: Iterable[str] = (),
    ) -> None:
        self._issuer = issuer
        self._keys = keys
        self._audiences = frozenset(audiences)
        self._scopes = frozenset(scopes)
        self._passed_on = frozenset(passed_on)
        # What is not known in a header is to be ignored, unless the header calls it critical.
        self._registry = JWSRegistry(algorithms=[*ALGORITHMS.values()], strict_check_header=False)
        self._claims = jwt.JWTClaimsRegistry(
            leeway=_LEEWAY_SECONDS,
            iss={"essential": True, "value": issuer},
            exp={"essential": True},
        )

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> TokenChecker:
        """As the function's environment says."""
        fixed = variables.get("JWKS")
        issuer = variables["ISSUER"]
        keys = IssuerKeys(issuer, json.loads(fixed) if fixed else None)
        audiences, scopes = json.loads(variables["AUDIENCES"]), json.loads(variables["SCOPES"])
        return cls(issuer, audiences, scopes, keys, json.loads(variables["PASSED_SCOPES"]))

    def check(self, token: str) -> tuple[str, bool, dict[str, str]]:
        """Who a token is about, whether it has the scopes, and the context for the functions.

        Raises RefusedError, and KeysUnavailableError.
        """
        try:
            claims = jwt.decode(token, self._key, registry=self._registry).claims
            self._claims.validate(claims)
        except (JoseError, ValueError, TypeError) as error:
            raise RefusedError(f"{type(error).__name__}: {str(error)[:200]}") from error
        audience = claims.get("aud", claims.get("client_id"))
        if self._audiences.isdisjoint(_words(audience, split=False)):
            raise RefusedError("another audience")
        granted = {*_words(claims.get("scope")), *_words(claims.get("scp"))}
        subject = claims.get("sub") or claims.get("client_id") or "unnamed"
        context = {"issuer": self._issuer, "scopes": " ".join(sorted(granted & self._passed_on))}
        if claims.get("sub"):
            context["subject"] = claims["sub"]  # else the token does not tell its callers apart
        return str(subject), self._scopes <= granted, context

    def _key(self, token: Any) -> Key:
        key_id = token.headers().get("kid")
        key = self._keys.find(key_id if isinstance(key_id, str) else None)
        if key is None:
            raise RefusedError("no such key")
        return key


def _words(value: object, *, split: bool = True) -> list[str]:
    """A claim that is a text, perhaps of several words, or a list of texts."""
    if isinstance(value, str):
        return value.split() if split else [value]
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


checker = TokenChecker.read(os.environ)


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answers a TOKEN event of API Gateway.

    Raises UnauthorizedError for a token that is not valid. API Gateway makes a failure of any
    other error, as when the issuer's keys cannot be fetched.
    """
    try:
        subject, allowed, context = checker.check(bearer_token(event["authorizationToken"]))
    except RefusedError as error:
        print(json.dumps({"level": "INFO", "message": "refused", "why": str(error)}))
        raise UnauthorizedError from None
    if not allowed:
        print(json.dumps({"level": "INFO", "message": "refused", "why": "a scope is missing"}))
    return answer(event, subject, allow=allowed, context=context)
