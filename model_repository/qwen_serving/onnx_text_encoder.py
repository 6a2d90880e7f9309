"""Qwen2.5-VL with its language model in ONNX Runtime; pictures go through torch before."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path

import numpy as np

from qwen_serving.onnx_session import Array
from qwen_serving.onnx_stage import OnnxStage
from qwen_serving.stage_settings import Bucket
from qwen_serving.tensors import device_of
from qwen_serving.vision_tower import VisionTower
from qwen_serving.warm_up import text_example


class TritonPythonModel(OnnxStage):
    """Same inputs and output as `text_encoder.TritonPythonModel`."""

    def load(self, folder: Path, args: Mapping[str, str]) -> None:
        """Load the vision tower."""
        self.tower = VisionTower(folder, device_of(args))

    def buckets(self) -> tuple[Bucket, ...]:
        """One is enough: the text is as long in all of them."""
        return self.settings.warm_up[:1]

    def example(self, bucket: Bucket) -> dict[str, Array]:  # noqa: ARG002
        """A text."""
        return text_example()

    def group_key(self, inputs: dict[str, Array]) -> Hashable:
        """Texts of one length run together, apart from those with pictures."""
        return "PIXEL_VALUES" in inputs, inputs["INPUT_IDS"].shape[1]

    def run(self, group: Sequence[dict[str, Array]]) -> list[dict[str, Array]]:
        """One pass of the tower over all pictures, one of the language model over all texts."""
        ids = np.concatenate([inputs["INPUT_IDS"] for inputs in group])
        batch, length = ids.shape
        rows = np.zeros((1, self.session.inputs["PICTURE_STATES"][1]), np.float32)
        positions = np.broadcast_to(np.arange(length), (3, batch, length)).astype(np.int64)
        if "PIXEL_VALUES" in group[0]:
            grids = np.concatenate([inputs["IMAGE_GRID_THW"][0] for inputs in group])
            pixels = np.concatenate([inputs["PIXEL_VALUES"][0] for inputs in group])
            rows = self.tower.rows(pixels, grids)
            self._check_places(ids, len(rows))
            positions = self.tower.positions(ids, grids)
        states = self.session.run(
            {"INPUT_IDS": ids, "POSITIONS": positions, "PICTURE_STATES": rows}
        )
        return [{"HIDDEN_STATES": row[None]} for row in states]

    def _check_places(self, ids: Array, rows: int) -> None:
        tokens = int((ids == self.tower.picture_token).sum())
        if tokens != rows:
            raise ValueError(f"the texts hold {tokens} picture tokens, the pictures make {rows}")
