"""Numbers as text with the image's numpy, which writes large ones otherwise than later ones do."""

from __future__ import annotations

import numpy as np

from tests.container.test_number_text import *  # noqa: F403 - its tests are run here again


def test_this_numpy_is_the_images():
    assert np.__version__.startswith("1.26.")
