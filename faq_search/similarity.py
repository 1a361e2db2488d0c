"""How alike texts are: cosine similarities of their embeddings, as numbers or as a heat map."""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import mul
from pathlib import Path
from typing import BinaryIO

from faq_search.errors import InputError

_DOTS_PER_INCH = 120
_LABEL_CHARACTERS = 60


def similarities(embeddings: Sequence[Sequence[float]]) -> list[list[float]]:
    """The cosine similarity of each pair: a symmetric matrix."""
    lengths = [math.hypot(*vector) or 1.0 for vector in embeddings]
    found = [[1.0] * len(embeddings) for _ in embeddings]
    for row, a in enumerate(embeddings):
        for column in range(row):
            product = sum(map(mul, a, embeddings[column]))
            cosine = product / (lengths[row] * lengths[column])
            found[row][column] = found[column][row] = cosine
    return found


def draw_heat_map(
    values: Sequence[Sequence[float]],
    texts: Sequence[str],
    title: str,
    file: Path | str | BinaryIO,
    quantity: str = "cosine similarity",
) -> None:
    """Draws a matrix of the texts as PNG, each cell with its value.

    Raises InputError when matplotlib is not installed.
    """
    try:
        import matplotlib as mpl  # noqa: PLC0415 - optional
    except ImportError as error:
        raise InputError("A PNG needs matplotlib: pip install matplotlib.") from error
    mpl.use("agg")  # no window, on any machine
    import matplotlib.pyplot as plt  # noqa: PLC0415

    size = max(0.0, 0.45 * (len(texts) - 9))  # inches, beyond those for nine texts
    figure, axes = plt.subplots(figsize=(9.5 + size, 6 + size), layout="constrained")
    least = min(map(min, values))
    image = axes.imshow(values, cmap="YlOrRd", vmin=min(0.0, least), vmax=1)
    numbers = range(len(texts))
    axes.set_xticks(numbers, [str(number + 1) for number in numbers])
    labels = [f"{_short(text)}  {number}" for number, text in enumerate(texts, 1)]
    axes.set_yticks(numbers, labels, parse_math=False)
    for row in numbers:
        for column in numbers:
            value = values[row][column]
            colour = "white" if value > (least + 1) / 2 + 0.2 else "black"
            shown = f"{round(value, 2) + 0.0:.2f}"  # no -0.00
            axes.text(column, row, shown, ha="center", va="center", color=colour, size=8)
    figure.suptitle(title)
    figure.colorbar(image, ax=axes, shrink=0.8, label=quantity)
    # Without the software's version in the metadata, equal figures give equal files.
    figure.savefig(file, format="png", dpi=_DOTS_PER_INCH, metadata={"Software": None})
    plt.close(figure)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LABEL_CHARACTERS else f"{line[: _LABEL_CHARACTERS - 1]}…"
