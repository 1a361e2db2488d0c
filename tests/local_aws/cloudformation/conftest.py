"""CloudFormation with a provider that only records its calls."""

from __future__ import annotations

from pathlib import Path

import pytest

from local_aws.cloudformation.resources.registry import PROVIDERS
from tests.support.cloudformation import Deployer, FakeProvider


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> FakeProvider:
    fake = FakeProvider()
    for resource_type in ("Fake::Service::Thing", "AWS::SSM::Parameter"):
        monkeypatch.setitem(PROVIDERS, resource_type, fake)
    return fake


@pytest.fixture
def cloudformation(tmp_path: Path, provider: FakeProvider) -> Deployer:
    return Deployer(tmp_path)
