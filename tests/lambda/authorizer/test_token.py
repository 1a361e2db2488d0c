"""The authorizer that checks the tokens of an OpenID Connect issuer."""

from __future__ import annotations

import base64
import hmac
import importlib
import json
import sys
from collections.abc import Iterator

import pytest
from joserfc.jwk import ECKey, RSAKey

from authorizer import keys
from authorizer.keys import IssuerKeys, KeysUnavailableError, read_keys
from tests.support.issuer import AUDIENCE, EC, RSA, Issuer, public, running_issuer

ARN = "arn:aws:execute-api:eu-west-1:123456789012:abc123/v1/POST/search"
STRANGER = RSAKey.generate_key(2048, {"kid": RSA.kid})
FIXED = Issuer()


def load(monkeypatch, issuer, scopes=(), fixed=None, passed_on=()):
    """The function, loaded as by a cold start."""
    monkeypatch.setenv("ISSUER", issuer.url)
    monkeypatch.setenv("AUDIENCES", json.dumps([AUDIENCE, "other"]))
    monkeypatch.setenv("SCOPES", json.dumps(scopes))
    monkeypatch.setenv("PASSED_SCOPES", json.dumps(passed_on))
    monkeypatch.setenv("JWKS", json.dumps(fixed) if fixed else "")
    sys.modules.pop("authorizer.token", None)
    module = importlib.import_module("authorizer.token")

    def ask(token):
        sent = f"Bearer {token}"
        return module.handler({"type": "TOKEN", "methodArn": ARN, "authorizationToken": sent}, None)

    return ask


@pytest.fixture
def ask(monkeypatch):
    """Asks a function that has the keys from the settings."""
    return load(monkeypatch, FIXED, fixed=public(RSA, EC))


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with running_issuer() as running:
        yield running


def effect(answer):
    return answer["policyDocument"]["Statement"][0]["Effect"]


def unauthorised(ask, token) -> None:
    with pytest.raises(Exception, match=r"^Unauthorized$"):  # what API Gateway looks for
        ask(token)


@pytest.mark.parametrize("key", [RSA, EC])
def test_a_valid_token_opens_the_whole_api(ask, key):
    answer = ask(FIXED.token(key))
    assert answer["principalId"] == "somebody"
    assert effect(answer) == "Allow"
    assert answer["policyDocument"]["Statement"][0]["Resource"].endswith(":abc123/v1/*")
    assert "usageIdentifierKey" not in answer


@pytest.mark.parametrize(
    ("claims", "context"),
    [
        ({}, {"subject": "somebody", "scopes": ""}),
        ({"scope": "faq/run other"}, {"subject": "somebody", "scopes": "faq/run"}),
        ({"scp": ["faq/run", "faq/all"]}, {"subject": "somebody", "scopes": "faq/all faq/run"}),
        # All of these would be one caller.
        ({"sub": None, "client_id": "x"}, {"scopes": ""}),
        ({"sub": ""}, {"scopes": ""}),
    ],
)
def test_the_functions_learn_who_calls(monkeypatch, claims, context):
    ask = load(monkeypatch, FIXED, fixed=public(RSA), passed_on=["faq/run", "faq/all"])
    assert ask(FIXED.token(**claims))["context"] == {"issuer": FIXED.url, **context}


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": ["x", AUDIENCE]},
        {"aud": "other"},
        {"aud": None, "client_id": AUDIENCE},  # Cognito's access tokens
        {"exp": -5},  # clocks differ
        {"nbf": 5},
    ],
)
def test_other_tokens_that_are_valid(ask, claims):
    assert effect(ask(FIXED.token(**claims))) == "Allow"


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": -60},
        {"exp": None},
        {"exp": "tomorrow"},
        {"exp": float("nan")},
        {"nbf": 600},
        {"iat": 600},
        {"iss": "https://another.example"},
        {"iss": None},
        {"iss": ["https://issuer.example"]},
        {"aud": "stranger"},
        {"aud": None},
        {"aud": []},
        {"aud": "stranger", "client_id": AUDIENCE},
        {"aud": {"x": AUDIENCE}},
    ],
)
def test_wrong_claims_are_refused(ask, claims, capsys):
    unauthorised(ask, FIXED.token(**claims))
    assert json.loads(capsys.readouterr().out)["message"] == "refused"


def segment(value) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def unsigned(token: str, alg: str) -> str:
    return ".".join([segment({"alg": alg, "kid": RSA.kid}), token.split(".")[1], ""])


def with_public_key_as_secret() -> str:
    """The classic confusion: an HMAC with the public key, which everybody knows."""
    signed = ".".join([segment({"alg": "HS256", "kid": RSA.kid}), FIXED.token().split(".")[1]])
    mac = hmac.digest(RSA.as_pem(private=False), signed.encode(), "sha256")
    return f"{signed}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


@pytest.mark.parametrize(
    "token",
    [
        FIXED.token(STRANGER),  # the right key id
        FIXED.token(RSAKey.generate_key(2048, {"kid": "unknown"})),
        FIXED.token(header={"kid": None}),  # which of two keys?
        FIXED.token(header={"kid": EC.kid}),
        FIXED.token(header={"alg": "RS512"}),
        FIXED.token(header={"alg": "PS256"}),
        unsigned(FIXED.token(), "none"),
        unsigned(FIXED.token(), "None"),
        with_public_key_as_secret(),
        FIXED.token()[:-6] + "AAAAAA",
        FIXED.token().rpartition(".")[0] + ".",
        ".".join([*FIXED.token().split(".")[:1], segment({"sub": "x"}), "AAAA"]),
        "a.b.c",
        "",
    ],
)
def test_wrong_signatures_are_refused(ask, token):
    unauthorised(ask, token)


def test_what_a_header_calls_critical_must_be_known(ask):
    token = FIXED.token(header={"nonce": "1"})
    assert effect(ask(token)) == "Allow"
    unauthorised(ask, FIXED.token(header={"crit": ["nonce"], "nonce": "1"}))


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"scope": "openid faq/ask faq/embed"}, "Allow"),
        ({"scp": ["faq/ask", "faq/embed"]}, "Allow"),
        ({"scp": "faq/ask faq/embed"}, "Allow"),
        ({"scope": "faq/ask"}, "Deny"),
        ({"scope": "faq/ask faq/embedded"}, "Deny"),
        ({}, "Deny"),
        ({"scope": {"faq/ask": 1}}, "Deny"),
    ],
)
def test_every_scope_is_needed(monkeypatch, claims, expected):
    asks = load(monkeypatch, FIXED, ["faq/ask", "faq/embed"], public(RSA))
    assert effect(asks(FIXED.token(**claims))) == expected


def test_the_only_key_needs_no_id(monkeypatch):
    asks = load(monkeypatch, FIXED, fixed=public(EC))
    assert effect(asks(FIXED.token(EC, header={"kid": None}))) == "Allow"


def test_keys_are_fetched_once_where_the_settings_have_none(monkeypatch, issuer):
    asks = load(monkeypatch, issuer)
    assert issuer.asked == []  # before the first request
    for key in (RSA, EC, RSA):
        assert effect(asks(issuer.token(key))) == "Allow"
    assert issuer.asked == ["/.well-known/openid-configuration", "/keys"]


def test_an_issuer_that_is_down_is_no_refusal(monkeypatch, issuer):
    """The caller may come again; 401 would make it throw its token away."""
    asks = load(monkeypatch, issuer)
    issuer.down = True
    with pytest.raises(KeysUnavailableError):
        asks(issuer.token())


class TestIssuerKeys:
    @pytest.fixture
    def now(self) -> list[float]:
        return [1000.0]

    @pytest.fixture
    def found(self, issuer, now) -> IssuerKeys:
        return IssuerKeys(issuer.url, clock=lambda: now[0])

    def test_a_new_key_is_found_at_a_limited_rate(self, issuer, found, now):
        assert found.find(RSA.kid)
        new = RSAKey.generate_key(2048, {"kid": "rsa-2"})
        issuer.keys = public(new)
        assert found.find("rsa-2") is None, "too early"
        now[0] += keys.PAUSE_SECONDS
        assert found.find("rsa-2")
        assert found.find(RSA.kid) is None, "it was withdrawn"
        for number in range(100):
            found.find(f"unknown-{number}")
        assert len(issuer.asked) == 4

    def test_keys_grow_old(self, issuer, found, now):
        assert found.find(RSA.kid)
        now[0] += keys.MAX_AGE_SECONDS + 1
        issuer.keys = public(EC)
        assert found.find(RSA.kid) is None

    def test_known_keys_outlast_a_failure_for_a_day(self, issuer, found, now):
        assert found.find(RSA.kid)
        issuer.down = True
        now[0] += keys.MAX_AGE_SECONDS + 1
        assert found.find(RSA.kid)
        now[0] += keys.MAX_STALE_SECONDS
        with pytest.raises(KeysUnavailableError):
            found.find(RSA.kid)
        issuer.down = False
        now[0] += keys.PAUSE_AFTER_FAILURE_SECONDS
        assert found.find(RSA.kid)

    def test_after_a_failure_it_pauses(self, issuer, found, now):
        issuer.down = True
        for _ in range(5):
            with pytest.raises(KeysUnavailableError):
                found.find(RSA.kid)
        assert len(issuer.asked) == 1

    @pytest.mark.parametrize(
        "discovery",
        [
            {"issuer": "https://another.example"},
            {"jwks_uri": "file:///etc/passwd"},
            {"jwks_uri": "/keys"},
            {"jwks_uri": None},
        ],
    )
    def test_a_wrong_discovery_document_gives_no_keys(self, issuer, found, discovery):
        issuer.discovery = discovery
        with pytest.raises(KeysUnavailableError):
            found.find(RSA.kid)

    def test_redirects_are_not_followed(self, issuer, found):
        issuer.discovery = {"jwks_uri": f"{issuer.url}/redirected"}
        with pytest.raises(KeysUnavailableError):
            found.find(RSA.kid)
        assert issuer.asked[-1] == "/redirected"

    def test_a_document_beyond_the_limit_is_not_read(self, issuer, found):
        issuer.keys = [{"kty": "x" * 300_000}]
        with pytest.raises(KeysUnavailableError):
            found.find(RSA.kid)

    def test_an_issuer_with_tls_has_keys_with_tls(self, monkeypatch):
        document = {"issuer": "https://i.example", "jwks_uri": "http://i.example/keys"}
        monkeypatch.setattr(keys, "_get_json", lambda _: document)
        with pytest.raises(KeysUnavailableError):
            IssuerKeys("https://i.example").find("x")


def test_keys_that_sign_in_other_ways_are_left_out():
    weak = {**RSAKey.generate_key(1024).as_dict(private=False), "kid": "weak"}
    (rsa,) = public(RSA)
    others = [
        weak,
        {**rsa, "kid": "encryption", "use": "enc"},
        {**rsa, "kid": "pss", "alg": "PS256"},
        {**rsa, "kid": "hmac", "alg": "HS256"},
        {**ECKey.generate_key("P-384").as_dict(private=False), "kid": "p384"},
        {"kty": "oct", "kid": "secret", "k": "c2VjcmV0"},
        {"kty": "RSA", "kid": "incomplete", "n": "AQAB"},
        {"kty": "RSA", "kid": "broken", "n": 3, "e": "AQAB"},
        {"kid": "nothing"},
    ]
    assert set(read_keys([*others, rsa])) == {RSA.kid}
