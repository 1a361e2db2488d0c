"""Draws charts and heat maps as PNG, with matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")  # no window, on any machine
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from bench.report import Chart

_DOTS_PER_INCH = 120


def draw(chart: Chart, file: Path) -> None:
    """Draws groups of bars with their values above them."""
    wide = max(6.0, 0.55 * len(chart.labels) * len(chart.series))
    figure, axes = plt.subplots(figsize=(wide, 4.2), layout="constrained")
    places = np.arange(len(chart.labels))
    width = 0.8 / len(chart.series)
    for number, (name, values) in enumerate(chart.series.items()):
        shift = (number - (len(chart.series) - 1) / 2) * width
        heights = [np.nan if value is None else value for value in values]
        bars = axes.bar(places + shift, heights, width, label=name)
        axes.bar_label(bars, [_short(value) for value in values], fontsize=7, padding=2)
    axes.set_xticks(places, chart.labels)
    axes.set_ylabel(chart.unit)
    axes.set_title(chart.title)
    if chart.logarithmic:
        axes.set_yscale("log")
    axes.margins(y=0.12)
    axes.legend(fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    _save(figure, file)


def heat_map(
    correlations: NDArray[np.float64], sentences: Sequence[str], title: str, file: Path
) -> None:
    """Draws correlations [n, n] of n sentences, each cell with its value."""
    figure, axes = plt.subplots(figsize=(9.5, 6), layout="constrained")
    image = axes.imshow(correlations, cmap="YlOrRd", vmin=min(0.0, correlations.min()), vmax=1)
    numbers = range(len(sentences))
    axes.set_xticks(numbers, [str(number + 1) for number in numbers])
    axes.set_yticks(
        numbers, [f"{sentence}  {number + 1}" for number, sentence in enumerate(sentences)]
    )
    middle = (correlations.min() + 1) / 2
    for row in numbers:
        for column in numbers:
            value = correlations[row, column]
            colour = "white" if value > middle + 0.2 else "black"
            shown = f"{round(value, 2) + 0.0:.2f}"
            axes.text(column, row, shown, ha="center", va="center", color=colour, size=8)
    figure.suptitle(title)
    figure.colorbar(image, ax=axes, shrink=0.8, label="correlation")
    _save(figure, file)


def _save(figure: Figure, file: Path) -> None:
    # Without the software's version in the metadata, equal figures give equal files.
    figure.savefig(file, dpi=_DOTS_PER_INCH, metadata={"Software": None})
    plt.close(figure)


def _short(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
