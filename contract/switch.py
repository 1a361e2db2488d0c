"""The switch that takes a stage's endpoints away and brings them back."""

from __future__ import annotations

from typing import Final

PARAMETER: Final = "Serving"
"""The parameter of the Model stack."""
ON: Final = "on"
OFF: Final = "off"
"""The values of that parameter, and of the SSM parameter `Names.serving_parameter`."""
