"""The views of an entry: what of it is embedded; and the rankings, which choose among them."""

from __future__ import annotations

from typing import Final, Literal

Ranking = Literal["hybrid", "answer", "question"]
View = Literal["answer", "question", "both"]

RANKINGS: Final = ("hybrid", "answer", "question")
VIEWS: Final[dict[str, tuple[View, ...]]] = {
    "hybrid": ("answer", "question", "both"),
    "answer": ("answer",),
    "question": ("answer", "question"),
}
"""The views that an index for a ranking holds; the answers always, for `nn_train_data`."""
SEARCHED: Final[dict[str, tuple[View, ...]]] = {
    "hybrid": ("answer", "question", "both"),
    "answer": ("answer",),
    "question": ("question",),
}
"""The views that a ranking compares queries with: at the end of those that the index holds."""
