"""The network in this process, and the product's own image work around it: JPEG in, mask out.

Peers get our codec and our mask code, so that what differs is the framework and where the network
runs, not how a PNG is written.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from gateway.settings import Settings
from preprocessing.arrays import Mask
from preprocessing.codec import decode_image, encode_mask_png
from preprocessing.fastsam import decode_detections, instance_mask, refined
from preprocessing.letterbox import Letterbox, letterbox, plan_letterbox
from preprocessing.prompts import Prompt, rank

_OUTPUTS = ("DETECTIONS", "PROTOTYPES", "PROTOTYPES_FINE", "PROTOTYPE_LEVELS", "IMAGE_SIZE")
STRIDE = 32
Output = tuple[
    npt.NDArray[np.float32],
    npt.NDArray[np.uint8],
    npt.NDArray[np.uint8],
    npt.NDArray[np.float32],
]
"""Detections, both bytes of the prototypes and their levels, of one frame."""


@dataclass(frozen=True)
class Prepared:
    """A picture as the network takes it, and the way back."""

    square: npt.NDArray[np.uint8]
    plan: Letterbox


class Segmenter:
    """A click on a JPEG becomes a mask's PNG."""

    def __init__(self) -> None:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
        options = onnxruntime.SessionOptions()
        options.add_session_config_entry("session.set_denormal_as_zero", "1")
        path = Path(Settings().model_repository) / "fastsam" / "1" / "model.onnx"
        self._session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )
        grey = np.full((1, 160, 160, 3), 114, np.uint8)
        self.side = int(self._session.run(_OUTPUTS, {"IMAGES": grey})[-1][0, 0])

    def prepare(self, jpeg: bytes) -> Prepared:
        """Decode and letterbox."""
        pixels = decode_image(jpeg).pixels
        plan = plan_letterbox((pixels.shape[1], pixels.shape[0]), self.side, stride=STRIDE)
        return Prepared(letterbox(pixels, plan), plan)

    def run(self, squares: Sequence[npt.NDArray[np.uint8]]) -> list[Output]:
        """One pass for all squares."""
        *outputs, _ = self._session.run(_OUTPUTS, {"IMAGES": np.stack(squares)})
        return list(zip(*outputs, strict=True))

    def png(self, prepared: Prepared, output: Output, click: tuple[int, int]) -> bytes:
        """The mask at a pixel of the picture."""
        return encode_mask_png(self.mask_at(prepared, output, click))

    def mask_at(self, prepared: Prepared, output: Output, click: tuple[int, int]) -> Mask:
        """The best instance at a pixel of the picture, (H, W)."""
        detections, coarse, fine, levels = output
        prototypes, levels = refined(coarse, fine, levels)
        instances = decode_detections(detections, prototypes, prepared.plan, levels=levels)
        best = rank(instances, Prompt(points=(click,), labels=(1,)))[0]
        return instance_mask(instances, best.index)

    def mask(self, jpeg: bytes, click: tuple[int, int]) -> bytes:
        """All of it for one picture."""
        prepared = self.prepare(jpeg)
        return self.png(prepared, self.run([prepared.square])[0], click)
