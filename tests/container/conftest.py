"""The real model, an artifact baked from it as SageMaker would bake it, and its service."""

from __future__ import annotations

from pathlib import Path

import pytest

from container.encoder.cpu import OpenVinoEncoder
from container.serving.service import Service
from tests.support.container import BakeRun, faq_csv, minilm, write_tiny_model, write_weights
from tests.support.encoder import CountingEncoder


@pytest.fixture(scope="session")
def minilm_encoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("minilm")
    config = write_weights(minilm(), folder, "all-MiniLM-L6-v2")
    return OpenVinoEncoder(config, folder / "weights")


@pytest.fixture(scope="session")
def baked(tmp_path_factory) -> Path:
    """Baked in a process, from a code archive, as a training job runs it."""
    run = BakeRun(tmp_path_factory.mktemp("baked"), minilm(), faq_csv())
    status, output = run.run()
    assert status == 0, output
    return run.model


@pytest.fixture(scope="session")
def service(baked):
    return Service.open(baked, "bake-1")


@pytest.fixture
def tiny_run(tmp_path):
    """Makes a bake with a tiny model, of `corpus` or else the FAQ."""

    def make(corpus: bytes | None = None, name: str = "faq.csv") -> BakeRun:
        write_tiny_model(tmp_path / "tiny")
        return BakeRun(
            tmp_path / "ml",
            tmp_path / "tiny",
            corpus or faq_csv(),
            name,
            dimension="32",
            model_id="tiny",
        )

    return make


@pytest.fixture(scope="session")
def counting_encoder(tmp_path_factory):
    return CountingEncoder(tmp_path_factory.mktemp("counting"))


@pytest.fixture
def counting(counting_encoder):
    """The counting encoder, as new."""
    counting_encoder.batches.clear()
    counting_encoder.broken = None
    return counting_encoder
