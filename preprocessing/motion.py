"""A shift and a zoom of a whole picture, and how to undo them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from preprocessing.arrays import Doubles, Image, Integers
from preprocessing.crop import Box

MIN_CORRELATION = 0.6
"""Below, the ring does not show the same picture and nothing is undone."""
_STILL_PX = 0.02  # neither visible nor worth an interpolation
_NO_MAP = np.zeros(0, np.float32)  # both coordinates are in the first


@dataclass(frozen=True)
class Motion:
    """The painted picture has at centre + scale * (p - centre) + shift what belongs at p.

    In pixels of the pictures it was estimated on.
    """

    shift: tuple[float, float] = (0.0, 0.0)
    scale: float = 1.0
    correlation: float = 0.0
    """Of the two pictures on the ring once the motion is undone, -1 to 1."""

    @property
    def is_trusted(self) -> bool:
        """Whether the ring shows the same picture in both."""
        return self.correlation >= MIN_CORRELATION

    @property
    def is_still(self) -> bool:
        """Whether there is nothing to undo."""
        return max(map(abs, self.shift)) < _STILL_PX and abs(self.scale - 1) < 1e-5

    def undo(self, painted: Image, box: Box | None = None) -> Image:
        """The painted picture with everything where the original has it; edges are continued.

        Args:
            painted: (H, W, 3) uint8.
            box: xyxy of what is wanted; None for all of it.
        """
        height, width = painted.shape[:2]
        x0, y0, x1, y1 = box or (0, 0, width, height)
        if self.is_still:
            return painted if box is None else painted[y0:y1, x0:x1]
        matrix = matrix_of(self.shift, self.scale, (width, height))
        matrix[:, 2] += self.scale * np.array([x0, y0])
        moved = cv2.warpAffine(
            painted,
            matrix,
            (x1 - x0, y1 - y0),
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )
        return np.asarray(moved, np.uint8)

    def undone_at(self, painted: Image, rows: Integers, columns: Integers) -> Image:
        """`undo` at some places alone: their colours, (N, 3) uint8."""
        if self.is_still:
            return painted[rows, columns]
        height, width = painted.shape[:2]
        matrix = matrix_of(self.shift, self.scale, (width, height))
        return np.asarray(values_at(painted, rows, columns, matrix), np.uint8)


def matrix_of(shift: tuple[float, float], scale: float, size_wh: tuple[int, int]) -> Doubles:
    """Result point to painted point, (2, 3), as OpenCV's `WARP_INVERSE_MAP` takes it."""
    centre = (np.array(size_wh) - 1) / 2
    offset = centre * (1 - scale) + np.array(shift)
    return np.array([[scale, 0, offset[0]], [0, scale, offset[1]]])


def values_at(
    picture: npt.NDArray[Any], rows: Integers, columns: Integers, matrix: Doubles
) -> npt.NDArray[Any]:
    """What is where a matrix takes some places, between pixels too; (N,) or (N, C)."""
    places = np.stack([columns, rows], 1) @ matrix[:, :2].T + matrix[:, 2]
    seen = cv2.remap(
        picture,
        places.astype(np.float32)[None],
        _NO_MAP,
        cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(seen[0])
