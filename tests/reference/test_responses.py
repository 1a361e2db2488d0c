"""Answers as JSON under the image's numpy."""

from __future__ import annotations

import numpy as np

from tests.container.test_responses import *  # noqa: F403 - runs its tests again


def test_this_numpy_is_the_images():
    assert np.__version__.startswith("1.26.")
