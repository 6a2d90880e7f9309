"""The same network with the codecs that the frameworks' tutorials show: Pillow and NumPy.

FastAPI's and LitServe's examples open an upload with Pillow, resize it there, hand NumPy arrays to
the network, and save a Pillow image into a buffer as PNG. What lies between is the product's.
"""

from __future__ import annotations

import io
import os

import numpy as np
from PIL import Image

from benchmarks.peers.codecs import CODECS, TUTORIAL
from benchmarks.peers.segmenter import STRIDE, Output, Prepared, Segmenter
from preprocessing.letterbox import PADDING, plan_letterbox


class TutorialSegmenter(Segmenter):
    """A click on a JPEG becomes a mask's PNG."""

    def prepare(self, jpeg: bytes) -> Prepared:
        """Open, resize and paste onto grey."""
        picture = Image.open(io.BytesIO(jpeg)).convert("RGB")
        plan = plan_letterbox(picture.size, self.side, stride=STRIDE)
        frame = Image.new("RGB", plan.frame_wh, (PADDING, PADDING, PADDING))
        resized = picture.resize(plan.content_wh, Image.Resampling.BILINEAR)
        frame.paste(resized, (plan.left, plan.top))
        return Prepared(np.array(frame), plan)

    def png(self, prepared: Prepared, output: Output, click: tuple[int, int]) -> bytes:
        """The mask at a pixel of the picture, as Pillow writes it."""
        mask = self.mask_at(prepared, output, click)
        buffer = io.BytesIO()
        Image.fromarray(mask.astype(np.uint8) * 255).save(buffer, format="PNG")
        return buffer.getvalue()


def open_segmenter() -> Segmenter:
    """With the codecs that the environment names."""
    return TutorialSegmenter() if os.environ.get(CODECS) == TUTORIAL else Segmenter()
