"""A shift and a zoom of a whole picture, and how to undo them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from preprocessing.arrays import Doubles, Floats, Image, Integers
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

    def of_whole(self, box: Box, size_wh: tuple[int, int]) -> Motion:
        """What was found on a box of a picture, as the motion of the whole of it.

        >>> Motion((3.0, 0.0), 0.5).of_whole((0, 0, 10, 8), (14, 8)).shift
        (2.0, 0.0)
        """
        away = np.array([box[0] + box[2] - size_wh[0], box[1] + box[3] - size_wh[1]]) / 2
        shift = np.array(self.shift) + away * (1 - self.scale)
        return replace(self, shift=(float(shift[0]), float(shift[1])))

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
        size_wh = x1 - x0, y1 - y0
        matrix = matrix_of(self.shift, self.scale, (width, height))
        matrix[:, 2] += self.scale * np.array([x0, y0])
        if abs(self.scale - 1) * max(size_wh) / 2 < _STILL_PX:
            middle = (np.array(size_wh) - 1) / 2
            return _shifted(painted, matrix[:, 2] + (self.scale - 1) * middle, size_wh)
        moved = cv2.warpAffine(
            painted,
            matrix,
            size_wh,
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
        return np.asarray(values_at(painted, points_of(rows, columns), matrix), np.uint8)


def matrix_of(shift: tuple[float, float], scale: float, size_wh: tuple[int, int]) -> Doubles:
    """Result point to painted point, (2, 3), as OpenCV's `WARP_INVERSE_MAP` takes it."""
    rest = (1 - scale) / 2
    offset_x = (size_wh[0] - 1) * rest + shift[0]
    offset_y = (size_wh[1] - 1) * rest + shift[1]
    return np.array([[scale, 0, offset_x], [0, scale, offset_y]])


def points_of(rows: Integers, columns: Integers) -> Floats:
    """Places as OpenCV takes them: (1, N, 2), x and y."""
    points = np.empty((1, len(rows), 2), np.float32)
    points[0, :, 0], points[0, :, 1] = columns, rows
    return points


def values_at(picture: npt.NDArray[Any], points: Floats, matrix: Doubles) -> npt.NDArray[Any]:
    """What is where a matrix takes some points, between pixels too; (N,) or (N, C)."""
    moved = cv2.transform(points, matrix)
    seen = cv2.remap(picture, moved, _NO_MAP, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(seen[0])


def _shifted(picture: Image, corner: Doubles, size_wh: tuple[int, int]) -> Image:
    """What of a picture is seen from a place between pixels on; edges are continued.

    Without a zoom the weights of the cubic are the same everywhere: once along and once across
    takes a quarter of the time that a warp does, which looks 16 pixels up for each.
    """
    start = np.floor(corner).astype(int)
    left, top = (int(edge) - 1 for edge in start)
    right, bottom = left + size_wh[0] + 3, top + size_wh[1] + 3
    height, width = picture.shape[:2]
    inner = picture[
        min(max(top, 0), height - 1) : max(bottom, 1), min(max(left, 0), width - 1) : max(right, 1)
    ]
    missing = max(0, -top), max(0, bottom - height), max(0, -left), max(0, right - width)
    if any(missing):
        inner = np.asarray(cv2.copyMakeBorder(inner, *missing, cv2.BORDER_REPLICATE), np.uint8)
    across, along = (_cubic(float(part)) for part in corner - start)
    mixed = cv2.sepFilter2D(inner, -1, across, along, anchor=(1, 1))
    return np.asarray(mixed[1:-2, 1:-2], np.uint8)


def _cubic(part: float) -> Floats:
    """Weights of the pixels at -1, 0, 1 and 2 for a place between 0 and 1.

    Keys' convolution with a = -0.75, as OpenCV's INTER_CUBIC (Keys: Cubic convolution
    interpolation for digital image processing, 1981).
    """
    a = -0.75
    far, near = 1 + part, 1 - part
    weights = [
        ((a * far - 5 * a) * far + 8 * a) * far - 4 * a,
        ((a + 2) * part - (a + 3)) * part * part + 1,
        ((a + 2) * near - (a + 3)) * near * near + 1,
    ]
    return np.array([*weights, 1 - sum(weights)], np.float32)
