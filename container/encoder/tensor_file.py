"""The weights of a safetensors file, where they lie in the file.

safetensors' own reader for numpy copies them; mapped they are read once, when the graph is
compiled, and the table of words stays in the page cache, which processes share.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_LENGTH_BYTES = 8


def map_tensors(file: Path) -> dict[str, NDArray[np.float32]]:
    """The file's tensors by name, float32 each, as ``write_serving_form`` writes them.

    Raises ValueError for a file that is none such, or ends too early.
    """
    # Copied on writing: OpenVINO takes no array that is read-only, and writes to none.
    content = np.memmap(file, dtype=np.uint8, mode="c")
    length = int.from_bytes(content[:_LENGTH_BYTES].tobytes(), "little")
    start = _LENGTH_BYTES + length
    header = json.loads(content[_LENGTH_BYTES:start].tobytes())
    header.pop("__metadata__", None)
    tensors = {}
    for name, facts in header.items():
        first, last = facts["data_offsets"]
        if facts["dtype"] != "F32" or start + last > len(content):
            raise ValueError(f"{file.name}: the tensor {name} is no float32, or cut short")
        tensors[name] = content[start + first : start + last].view(np.float32)
        tensors[name] = tensors[name].reshape(facts["shape"])
    return tensors
