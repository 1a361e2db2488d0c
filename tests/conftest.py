"""Fixtures for every layer of tests."""

from __future__ import annotations

from tests.contract.bake_scenarios import bake_handler, bake_request
from tests.contract.batch_scenarios import batch_aws, steps
from tests.contract.cloudformation_answers import answers
from tests.contract.recorded_aws import aws

__all__ = ["answers", "aws", "bake_handler", "bake_request", "batch_aws", "steps"]
