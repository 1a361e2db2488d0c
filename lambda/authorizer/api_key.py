"""Hands an API key on to the usage plan: from `x-api-key` or, as OpenAI's clients, a bearer token.

API Gateway itself then checks the key, counts it and throttles it. Nothing is imported but the
standard library's smallest parts, since callers wait for every start of this function.
"""

from __future__ import annotations

from typing import Any

from authorizer.access import UnauthorizedError, answer, bearer_token


def handler(event: dict[str, Any], _context: object) -> dict[str, Any]:
    """Answers a REQUEST event of API Gateway.

    Raises UnauthorizedError for a request without a key.
    """
    # The names of headers come as the caller has written them.
    headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
    key = headers.get("x-api-key") or bearer_token(headers.get("authorization"))
    if not key:
        raise UnauthorizedError
    return answer(event, "api-key", usageIdentifierKey=key)
