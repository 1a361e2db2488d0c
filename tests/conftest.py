"""Fixtures for every layer of tests."""

from __future__ import annotations

from tests.support.bake_scenarios import bake
from tests.support.batch_scenarios import batch_aws, steps
from tests.support.cloudformation_answers import answers
from tests.support.recorded_aws import aws

__all__ = ["answers", "aws", "bake", "batch_aws", "steps"]
