"""How functions that nobody waits for within seconds call AWS."""

from __future__ import annotations

from botocore.config import Config

# A throttled call is worth more attempts than usual: a failed one fails a deployment or a batch.
PATIENT = Config(retries={"mode": "standard", "max_attempts": 6}, read_timeout=20)
