"""What the processor and its memory can do at best, by one large operation each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from container.encoder.model_config import Precision

Tasks = dict[str, Callable[[], Any]]
SIZE = 2048
PRODUCT_OPERATIONS = 2 * SIZE**3
READ_BYTES = 1 << 30


def ceilings(precisions: list[Precision]) -> Tasks:
    """Products of square matrices of SIZE in each precision, as the encoder runs them (other
    libraries are slower on some processors); and reading READ_BYTES once.
    """
    import torch  # noqa: PLC0415

    numbers = torch.ones(READ_BYTES // 4)
    return {name: _product(name) for name in precisions} | {"read": numbers.sum}


def _product(precision: Precision) -> Callable[[], Any]:
    import numpy as np  # noqa: PLC0415
    import openvino as ov  # noqa: PLC0415
    from openvino import opset13 as ops  # noqa: PLC0415

    from container.encoder.cpu import infer_request  # noqa: PLC0415

    matrix = np.ones((SIZE, SIZE), dtype=np.float32)
    left = ops.parameter(matrix.shape, np.float32)
    product = ov.Model([ops.matmul(left, ops.constant(matrix), False, True)], [left])
    request = infer_request(product, precision)
    return lambda: request.infer([matrix], share_inputs=True, share_outputs=True)
