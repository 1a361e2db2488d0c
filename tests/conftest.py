"""Fixtures for every layer of tests."""

from __future__ import annotations

from tests.contract.bake_scenarios import bake_handler, bake_request
from tests.contract.cloudformation_answers import answers
from tests.contract.recorded_aws import aws

__all__ = ["answers", "aws", "bake_handler", "bake_request"]
