"""AWS's Signature Version 4 of a POST request, as every AWS service checks it."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Self
from urllib.parse import quote

_ALGORITHM: Final = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Of the function's role; Lambda keeps them valid as long as it keeps the environment."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(repr=False)

    @classmethod
    def read(cls, variables: Mapping[str, str]) -> Self:
        """From `variables`, usually `os.environ`; KeyError names what is missing."""
        return cls(
            variables["AWS_ACCESS_KEY_ID"],
            variables["AWS_SECRET_ACCESS_KEY"],
            variables.get("AWS_SESSION_TOKEN"),
        )


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs for one service (its signing name, such as `ssm`) in one region."""

    service: str
    region: str
    credentials: Credentials

    def signed(
        self, host: str, path: str, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> dict[str, str]:
        """`headers` and those of the signature, for a POST to `path`, which has no query.

        `path` is as it is sent, quoted already; `now` is in UTC. Names of headers are lower case.
        """
        time = now.strftime("%Y%m%dT%H%M%SZ")
        found = {**headers, "host": host, "x-amz-date": time}
        if self.credentials.session_token:
            found["x-amz-security-token"] = self.credentials.session_token
        names = sorted(found)
        signed_names = ";".join(names)
        request = "\n".join(
            [
                "POST",
                quote(path, safe="/-_.~"),
                "",
                *(f"{name}:{found[name]}" for name in names),
                "",
                signed_names,
                hashlib.sha256(body).hexdigest(),
            ]
        )
        scope = f"{time[:8]}/{self.region}/{self.service}/aws4_request"
        text = "\n".join([_ALGORITHM, time, scope, hashlib.sha256(request.encode()).hexdigest()])
        key = f"AWS4{self.credentials.secret_access_key}".encode()
        for part in (*scope.split("/"), text):
            key = hmac.digest(key, part.encode(), "sha256")
        found["authorization"] = (
            f"{_ALGORITHM} Credential={self.credentials.access_key_id}/{scope}, "
            f"SignedHeaders={signed_names}, Signature={key.hex()}"
        )
        return found
