"""How the functions behind custom resources call AWS."""

from __future__ import annotations

from botocore.config import Config

# A deployment waits for these calls, so a throttle is worth a few more tries than usual.
PATIENT = Config(retries={"mode": "standard", "max_attempts": 6}, read_timeout=20)
