"""Where the front door counts."""

from __future__ import annotations

from aws_lambda_powertools import Metrics

# Without a service, which would be a dimension of its own: Stage, set by the handler, is the only
# one.
metrics = Metrics(namespace="FaqSearch", service="")
