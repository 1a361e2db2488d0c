"""What the processor and its memory can do at best, by one large operation each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Tasks = dict[str, Callable[[], Any]]
SIZE = 2048
PRODUCT_OPERATIONS = 2 * SIZE**3
READ_BYTES = 1 << 30


def ceilings(precisions: list[str]) -> Tasks:
    """Products of square matrices of SIZE in each precision, by oneDNN, which OpenVINO uses as
    well; and reading READ_BYTES once.
    """
    import torch  # noqa: PLC0415

    types = {"fp32": torch.float32, "bf16": torch.bfloat16}

    def product(precision: str) -> Callable[[], Any]:
        matrix = torch.ones((SIZE, SIZE), dtype=types[precision])
        return lambda: matrix @ matrix

    numbers = torch.ones(READ_BYTES // 4)
    return {name: product(name) for name in precisions} | {"read": numbers.sum}
