"""FastSAM with ONNX Runtime inside the Python backend, for servers without their own."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from mask_serving.batched_graph import answer_batch
from mask_serving.fastest_session import open_fastest

OUTPUTS = ("DETECTIONS", "PROTOTYPES", "PROTOTYPE_LEVELS", "IMAGE_SIZE")
FINE = "PROTOTYPES_FINE"
"""As `export_scripts/fastsam_graph.py` describes them; the last one only for who asks."""

_PASSES = 2
"""Of a batch at once, on a CPU; while one instance waits for the last of them the other works."""
_ROWS = 50
_ROW_TOLERANCES = np.array([0.5] * 4 + [0.01] + [0.05] * 32)
"""Pixels of a box, its score, its coefficients."""


def same_answers(left: Sequence[npt.NDArray[Any]], right: Sequence[npt.NDArray[Any]]) -> bool:
    """Whether two engines say the same of pictures.

    Candidates of nearly equal score may come in another order; a byte of a prototype may be
    rounded to the next one.
    """
    apart = np.abs(left[0][:, :_ROWS, None] - right[0][:, None])
    rows_agree = (apart <= _ROW_TOLERANCES).all(-1).any(-1).all()
    prototypes_agree = np.abs(left[1].astype(np.int16) - right[1]).max() <= 1
    levels_agree = np.allclose(left[2], right[2], rtol=0.01, atol=1e-3)
    return bool(rows_agree and prototypes_agree and levels_agree)


class FastSamModel:
    """IMAGES uint8 [H, W, 3] -> candidates and prototypes."""

    def initialize(self, args: Mapping[str, str]) -> None:
        """Load `model.onnx` of this version."""
        graph = Path(args["model_repository"]) / args["model_version"] / "model.onnx"
        properties = {entry.key: entry.value for entry in onnx.load(graph).metadata_props}
        side = int(properties["image_size"])
        picture = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)
        passes = _PASSES * _instances(args)
        self._session = open_fastest(
            graph, args, {"IMAGES": picture}, agree=same_answers, passes=passes
        )
        is_cpu = args["model_instance_kind"] != "GPU"
        self._threads = ThreadPoolExecutor(_PASSES, "fastsam") if is_cpu else None

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """One forward pass for the whole dynamic batch; on a CPU, where it saves nothing, each."""
        is_fine = any(FINE in request.requested_output_names() for request in requests)
        names = (*OUTPUTS, FINE) if is_fine else OUTPUTS
        responses: list[Any] = answer_batch(
            requests, "IMAGES", names, lambda rows: self._run(names, rows)
        )
        return responses

    def _run(self, names: Sequence[str], rows: npt.NDArray[np.uint8]) -> Any:
        if self._threads is None or len(rows) == 1:
            return self._session.run(names, {"IMAGES": rows})
        frames = [rows[i : i + 1] for i in range(len(rows))]
        answers = self._threads.map(
            lambda frame: self._session.run(names, {"IMAGES": frame}), frames
        )
        return [np.concatenate(parts) for parts in zip(*answers, strict=True)]


def _instances(args: Mapping[str, str]) -> int:
    """Of the model, on each device."""
    groups = json.loads(args["model_config"]).get("instance_group", [])
    return max((int(group.get("count", 1)) for group in groups), default=1)
