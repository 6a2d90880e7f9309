"""FastSAM with ONNX Runtime inside the Python backend, for servers without their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from mask_serving.batched_graph import answer_batch
from mask_serving.fastest_session import open_fastest

OUTPUTS = ("DETECTIONS", "PROTOTYPES", "PROTOTYPE_LEVELS", "IMAGE_SIZE")
"""As `export_scripts/fastsam_graph.py` describes them."""


class FastSamModel:
    """IMAGES uint8 [H, W, 3] -> candidates and prototypes."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Load `model.onnx` of this version."""
        graph = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        properties = {entry.key: entry.value for entry in onnx.load(graph).metadata_props}
        side = int(properties["image_size"])
        picture = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)
        self._session = open_fastest(graph, args, {"IMAGES": picture})

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """One forward pass for the whole dynamic batch."""
        responses: list[Any] = answer_batch(
            requests, "IMAGES", OUTPUTS, lambda rows: self._session.run(OUTPUTS, {"IMAGES": rows})
        )
        return responses
