"""The encoder on a GPU: transformers' model under torch, in float32."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from container.encoder import Encoder
from container.model_config import ModelConfig


class TorchEncoder(Encoder):
    """Runs the model on ``device``: a CUDA device, or ``cpu`` to compare with."""

    # A batch of 64 of BERT's longest texts.
    max_batch_tokens = 64 * 512

    def __init__(
        self,
        config: ModelConfig,
        weights_dir: Path,
        batch_size: int = 64,
        device: str = "cuda",
    ) -> None:
        super().__init__(config, weights_dir / "tokenizer.json", batch_size)
        name = f" ({torch.cuda.get_device_name(device)})" if device.startswith("cuda") else ""
        self.device = f"{device}{name}"
        self.runtime = f"torch {torch.__version__}"
        self._device = torch.device(device)
        self._model = transformers.AutoModel.from_pretrained(
            weights_dir, add_pooling_layer=False, torch_dtype=torch.float32, local_files_only=True
        )
        self._model.to(self._device).eval()

    def _forward(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> NDArray[np.float32]:
        with torch.inference_mode():
            tokens = torch.from_numpy(ids).to(self._device)
            keep = torch.from_numpy(mask).to(self._device)
            hidden = self._model(input_ids=tokens, attention_mask=keep).last_hidden_state
            vectors = self._pool(hidden, keep.unsqueeze(-1).to(hidden.dtype))
            if self.config.normalize:
                vectors = torch.nn.functional.normalize(vectors, dim=1, eps=1e-12)
            found: NDArray[np.float32] = vectors.cpu().numpy()
            return found

    def _pool(self, hidden: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
        if self.config.pooling == "cls":
            return hidden[:, 0]
        if self.config.pooling == "max":
            return (hidden * keep + (1 - keep) * -1e9).amax(dim=1)
        return (hidden * keep).sum(dim=1) / keep.sum(dim=1)
