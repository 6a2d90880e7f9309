"""The part of Qwen2.5-VL that looks at pictures, in torch, without the language model."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors import safe_open

from qwen_serving import torchvision_ops

torchvision_ops.declare()

from transformers import AutoConfig  # noqa: E402
from transformers.models.qwen2_5_vl import modeling_qwen2_5_vl as modeling  # noqa: E402

Ids = npt.NDArray[np.int64]


class VisionTower:
    """Rows for the picture tokens of a text, and where the tokens of that text stand."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        """Load the tower out of a text encoder's folder; other weights are not read.

        Raises:
            RuntimeError: the folder's weights do not fit the network.
        """
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        self._device = device
        self.picture_token: int = config.image_token_id
        with torch.device("meta"):
            self._model: Any = modeling.Qwen2_5_VLModel(config)
        # A tower of its own: on the meta device it would lack the buffers that no file holds.
        tower = modeling.Qwen2_5_VisionTransformerPretrainedModel._from_config(
            config.vision_config, dtype=torch.float32
        )
        tower.load_state_dict(_tower_weights(folder))
        self._model.visual = tower.eval().to(device)

    @torch.inference_mode()
    def rows(self, pixel_values: npt.NDArray[np.float32], grids: Ids) -> npt.NDArray[np.float32]:
        """(P, patch) of all pictures and (k, 3) grids -> (P / 4, D), one row per token."""
        features = self._model.get_image_features(
            torch.from_numpy(pixel_values).to(self._device),
            torch.from_numpy(grids).to(self._device),
            return_dict=True,
        )
        states: npt.NDArray[np.float32] = torch.cat(features.pooler_output).float().cpu().numpy()
        return states

    def positions(self, ids: Ids, grids: Ids) -> Ids:
        """(B, L) token ids and (k, 3) grids -> (3, B, L) frame, row and column."""
        tokens = torch.from_numpy(ids)
        kinds = (tokens == self.picture_token).int()
        positions, _ = self._model.get_rope_index(
            tokens, kinds, image_grid_thw=torch.from_numpy(grids)
        )
        places: Ids = positions.numpy()
        return places


def _tower_weights(folder: Path) -> dict[str, torch.Tensor]:
    """The tower's weights, whatever came before `visual.` in their names."""
    index = folder / "model.safetensors.index.json"
    files = ["model.safetensors"]
    if index.exists():
        names = json.loads(index.read_text())["weight_map"]
        files = sorted({file for name, file in names.items() if "visual." in name})
    weights = {}
    for file in files:
        with safe_open(folder / file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118
                if "visual." in name:
                    weights[name.split("visual.", 1)[1]] = tensors.get_tensor(name).float()
    return weights
