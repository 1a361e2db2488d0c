"""The encoder on a GPU: transformers' model under torch, its weights in the chosen precision."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import load_file

from container.encoder.base import Encoder, Tokens
from container.encoder.model_config import ModelConfig, Precision
from container.encoder.quantized import dequantized, is_quantized

# Few distinct lengths let kernels and memory be reused; and kernels are fastest at multiples of 8.
STEP = 8
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class TorchEncoder(Encoder):
    """Runs the model on `device`: a CUDA device, or `cpu` for comparison."""

    # 64 of the longest texts that BERT takes.
    max_batch_tokens = 64 * 512

    def __init__(
        self,
        config: ModelConfig,
        weights_dir: Path,
        batch_size: int = 64,
        precision: Precision = "fp32",
        device: str = "cuda",
    ) -> None:
        super().__init__(config, weights_dir / "tokenizer.json", batch_size)
        name = f" ({torch.cuda.get_device_name(device)})" if device.startswith("cuda") else ""
        self.device = f"{device}{name}"
        self.precision = precision
        self.runtime = f"torch {torch.__version__}, {precision}"
        self._device = torch.device(device)
        file = weights_dir / "model.safetensors"
        with safe_open(file, "numpy") as tensors:
            quantized = is_quantized(tensors.keys())
        given: dict[str, Any] = {"pretrained_model_name_or_path": weights_dir}
        if quantized:
            given = {
                "pretrained_model_name_or_path": None,
                "config": transformers.AutoConfig.from_pretrained(weights_dir),
                "state_dict": {
                    name: torch.from_numpy(tensor)
                    for name, tensor in dequantized(load_file(file)).items()
                },
            }
        self._model = transformers.AutoModel.from_pretrained(
            **given,
            add_pooling_layer=False,
            attn_implementation="sdpa",
            torch_dtype=_DTYPES[precision],
            local_files_only=True,
        )
        self._model.to(self._device).eval()

    @staticmethod
    def precisions() -> tuple[Precision, ...]:
        """What it computes in on this processor; an artifact in int8 is served in fp32."""
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return ("fp32", "bf16", "fp16")
        return ("fp32", "fp16")

    def forward(self, tokens: Sequence[Tokens]) -> NDArray[np.float32]:
        """One batch, padded: float32 [len(tokens), dimension]."""
        ids, mask = self._padded(tokens)
        with torch.inference_mode():
            keep = torch.from_numpy(mask).to(self._device)
            hidden = self._model(
                input_ids=torch.from_numpy(ids).to(self._device), attention_mask=keep
            ).last_hidden_state
            # Sums over hundreds of tokens need more precision than the layers do.
            vectors = self._pool(hidden.float(), keep.unsqueeze(-1).float())
            if self.config.normalize:
                vectors = torch.nn.functional.normalize(vectors, dim=1, eps=1e-12)
            found: NDArray[np.float32] = vectors.cpu().numpy()
            return found

    def _padded(self, tokens: Sequence[Tokens]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Token ids and mask, [batch, length], the length a multiple of `STEP`."""
        longest = max(map(len, tokens))
        length = min(longest + -longest % STEP, self.config.max_seq_length)
        ids = np.full((len(tokens), length), self.config.pad_token_id, dtype=np.int64)
        mask = np.zeros((len(tokens), length), dtype=np.int64)
        for row, text in enumerate(tokens):
            ids[row, : len(text)] = text
            mask[row, : len(text)] = 1
        return ids, mask

    def _pool(self, hidden: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
        if self.config.pooling == "cls":
            return hidden[:, 0]
        if self.config.pooling == "max":
            return (hidden * keep + (1 - keep) * -1e9).amax(dim=1)
        return (hidden * keep).sum(dim=1) / keep.sum(dim=1)
