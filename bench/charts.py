"""Draws charts as PNG, with matplotlib."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("agg")  # no window, on any machine
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

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


def _save(figure: Figure, file: Path) -> None:
    # Without the software's version in the metadata, equal figures give equal files.
    figure.savefig(file, dpi=_DOTS_PER_INCH, metadata={"Software": None})
    plt.close(figure)


def _short(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
