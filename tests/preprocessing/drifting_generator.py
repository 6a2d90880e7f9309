"""A generator as they are: it paints the mask, and moves and tints everything else a little."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class DriftingGenerator:
    """Paints noise into the mask; then shifts, zooms and tints the whole picture."""

    shift: tuple[float, float] = (0.0, 0.0)
    zoom: float = 1.0
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    size_wh: tuple[int, int] | None = None

    def paint(self, original: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """`original` (H, W, 3) uint8 as the generator gives it back at its own size."""
        painted = original.copy()
        painted[mask] = np.random.default_rng(5).integers(0, 256, (np.count_nonzero(mask), 3))
        size_wh = self.size_wh or original.shape[1::-1]
        smaller = size_wh[0] * size_wh[1] < mask.size
        method = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
        painted = cv2.resize(painted, size_wh, interpolation=method)
        centre = (np.array(size_wh) - 1) / 2
        offset = centre * (1 - self.zoom) + self.shift
        moved = cv2.warpAffine(
            painted,
            np.array([[self.zoom, 0, offset[0]], [0, self.zoom, offset[1]]]),
            size_wh,
            flags=cv2.INTER_LANCZOS4,
            borderMode=cv2.BORDER_REFLECT,
        )
        return np.clip(np.rint(moved * np.array(self.tint)), 0, 255).astype(np.uint8)
