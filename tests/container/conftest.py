"""The real model, and one artifact baked from it as SageMaker would bake it."""

from __future__ import annotations

from pathlib import Path

import pytest

from container.bake.weights import find_model, write_serving_form
from container.encoder.cpu import OpenVinoEncoder
from tests.support.container import BakeRun, faq_csv, minilm


@pytest.fixture(scope="session")
def minilm_encoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("minilm")
    model = find_model(minilm(), folder, "all-MiniLM-L6-v2", None)
    write_serving_form(model, folder / "weights")
    return OpenVinoEncoder(model.config, folder / "weights")


@pytest.fixture(scope="session")
def baked(tmp_path_factory) -> Path:
    run = BakeRun(tmp_path_factory.mktemp("baked"), minilm(), faq_csv())
    status, output = run.run()
    assert status == 0, output
    return run.model
