"""The encoder on a CPU: an OpenVINO graph built from the weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from mmap import ACCESS_COPY, MADV_DONTNEED, mmap
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from container.encoder.base import Encoder, Tokens
from container.encoder.model_config import ModelConfig, Precision
from container.encoder.openvino_graph import WORDS, Weights, build_graph, pack
from container.encoder.quantized import dequantized, is_quantized
from container.machine import available_cpus, has_int8_products

# With int8, what is not a product of weights is float32.
_HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}
_TYPES = {"F32": np.float32, "I8": np.int8}
_LENGTH_BYTES = 8


def infer_request(graph: ov.Model, precision: Precision) -> ov.InferRequest:
    """Compiles a graph for all processors available to this process."""
    settings: dict[str, Any] = {
        # By itself the plugin chooses bfloat16 where the processor has it, and the vectors would
        # depend on the machine.
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": available_cpus(),
        # Several processes share a developer's machine; pinned threads would queue up.
        "ENABLE_CPU_PINNING": False,
    }
    return ov.Core().compile_model(graph, "CPU", settings).create_infer_request()


class OpenVinoEncoder(Encoder):
    """Runs the model on all processors available to this process."""

    device = "cpu"
    # Measured with all-MiniLM-L6-v2: beyond about a thousand tokens a batch outgrows the caches.
    max_batch_tokens = 1024

    def __init__(
        self,
        config: ModelConfig,
        weights_dir: Path,
        batch_size: int = 64,
        precision: Precision = "fp32",
    ) -> None:
        """Compiles the graph of `weights_dir` (model.safetensors, tokenizer.json)."""
        super().__init__(config, weights_dir / "tokenizer.json", batch_size)
        self.precision = precision
        self.runtime = f"openvino {ov.__version__.partition('-')[0]}, {precision}"
        mapped = MappedTensors(weights_dir / "model.safetensors")
        weights: Weights = mapped
        int8_products = precision == "int8" and has_int8_products()
        if precision == "int8":
            if not is_quantized(mapped):
                raise ValueError("the weights are not quantised, so they cannot be used in int8")
            if not int8_products:
                # Older instructions add pairs of products in 16 bits, which overflow.
                self.runtime += ", its products in fp32 (this processor has no VNNI)"
        elif is_quantized(mapped):
            weights = dequantized(mapped)
        self._request = infer_request(
            build_graph(config, weights, int8_products=int8_products), precision
        )
        self._words = {name: weights[name] for name in weights if name.startswith(WORDS)}
        # One request already runs on all processors; two at once would gain nothing.
        self._lock = Lock()
        mapped.release()
        self.forward([[0]])  # copies the other weights
        mapped.release()

    @staticmethod
    def precisions() -> tuple[Precision, ...]:
        """What it computes in on this processor: int8 anywhere, with the same results."""
        capable = ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        return ("fp32", "bf16", "int8") if "BF16" in capable else ("fp32", "int8")

    def forward(self, tokens: Sequence[Tokens]) -> NDArray[np.float32]:
        """One batch: float32 [len(tokens), dimension]."""
        packed = pack(self.config, self._words, tokens)
        with self._lock:
            found = self._request.infer(list(packed), share_inputs=True)
        vectors: NDArray[np.float32] = found[0]
        return vectors


class MappedTensors(dict[str, NDArray[Any]]):
    """The tensors of a file that the bake wrote, by name, without copying them.

    safetensors' own reader for numpy copies. Mapped, the weights are read once, when the graph is
    compiled, and the word embeddings stay in the page cache, which processes share.
    """

    def __init__(self, file: Path) -> None:
        """Raises ValueError for a file that is truncated or something else."""
        super().__init__()
        with file.open("rb") as opened:
            # Copy on write: OpenVINO refuses read-only arrays, though it never writes to them.
            self._map = mmap(opened.fileno(), 0, access=ACCESS_COPY)
        content = np.frombuffer(self._map, dtype=np.uint8)
        length = int.from_bytes(content[:_LENGTH_BYTES].tobytes(), "little")
        start = _LENGTH_BYTES + length
        header = json.loads(content[_LENGTH_BYTES:start].tobytes())
        header.pop("__metadata__", None)
        for name, facts in header.items():
            first, last = facts["data_offsets"]
            if facts["dtype"] not in _TYPES or start + last > len(content):
                raise ValueError(
                    f"{file.name}: the tensor {name} is neither float32 nor int8, or is cut short"
                )
            tensor = content[start + first : start + last].view(_TYPES[facts["dtype"]])
            self[name] = tensor.reshape(facts["shape"])

    def release(self) -> None:
        """Gives their memory back; whatever is read again comes from the page cache.

        A graph has copies of its weights, in the order that products read them in: of most when it
        is compiled, of the others at its first inference.
        """
        self._map.madvise(MADV_DONTNEED)
