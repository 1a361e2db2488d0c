"""An OpenID Connect issuer on localhost, with real keys and signatures."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from joserfc.jws import JWSRegistry
from joserfc.registry import HeaderParameter

from tests.support.http import Handler, serving

AUDIENCE = "faq-search"
RSA = RSAKey.generate_key(2048, {"kid": "rsa-1"})
EC = ECKey.generate_key("P-256", {"kid": "ec-1"})


def public(*keys: RSAKey | ECKey) -> list[dict[str, Any]]:
    """Keys as a JWKS has them."""
    return [{**key.as_dict(private=False), "use": "sig"} for key in keys]


@dataclass
class Issuer:
    """The issuer, and what it publishes now.

    Attributes:
        asked: paths of the requests, in their order.
        discovery: members of the discovery document that are not as usual.
        down: whether it answers 503.
    """

    url: str = "https://issuer.example"
    keys: list[dict[str, Any]] = field(default_factory=lambda: public(RSA, EC))
    asked: list[str] = field(default_factory=list)
    discovery: dict[str, Any] = field(default_factory=dict)
    down: bool = False

    def token(
        self,
        key: RSAKey | ECKey | Any = RSA,
        header: dict[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """A token that is valid but for what is given; None takes a claim away.

        Times are seconds from now.
        """
        usual = {"iss": self.url, "aud": AUDIENCE, "sub": "somebody", "iat": 0, "exp": 300}
        given = {name: value for name, value in {**usual, **claims}.items() if value is not None}
        for name in ("exp", "nbf", "iat"):
            if isinstance(given.get(name), int):
                given[name] += int(time.time())
        alg = "ES256" if isinstance(key, ECKey) else "RS256"
        head = {"alg": alg, "kid": key.kid, **(header or {})}
        head = {name: value for name, value in head.items() if value is not None}
        known = {name: HeaderParameter(name, "str") for name in head if name == "nonce"}
        registry = JWSRegistry(known, algorithms=[head["alg"]])
        return jwt.encode(head, given, key, registry=registry)


@contextmanager
def running_issuer() -> Iterator[Issuer]:
    """An issuer that listens until the `with` block ends."""
    issuer = Issuer()

    class IssuerHandler(Handler):
        def respond(self) -> None:
            issuer.asked.append(self.path)
            known = {
                "/.well-known/openid-configuration": {
                    "issuer": issuer.url,
                    "jwks_uri": f"{issuer.url}/keys",
                    **issuer.discovery,
                },
                "/keys": {"keys": issuer.keys},
            }
            if issuer.down:
                self.answer(503)
            elif self.path == "/redirected":
                self.answer(302, headers={"Location": f"{issuer.url}/keys"})
            elif self.path in known:
                self.answer(200, json.dumps(known[self.path]).encode())
            else:
                self.answer(404)

    with serving(IssuerHandler) as issuer.url:
        yield issuer
