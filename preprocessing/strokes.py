"""Brush strokes as masks."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from preprocessing.arrays import Mask
from preprocessing.errors import PromptRejectedError

Stroke = Sequence[tuple[float, float]]


def draw_strokes(strokes: Sequence[Stroke], width: int, image_wh: tuple[int, int]) -> Mask:
    """Pixels (H, W) that a brush of `width` pixels touches on its way from point to point.

    Raises:
        PromptRejectedError: scribble_empty, or point_outside, no stroke is clipped silently.

    >>> int(draw_strokes([[(1, 2), (5, 2)]], 1, (8, 4)).sum())
    5
    """
    across, down = image_wh
    canvas = np.zeros((down, across), np.uint8)
    for number, stroke in enumerate(strokes):
        if not stroke:
            raise PromptRejectedError("scribble_empty", f"Stroke {number} has no points.")
        for x, y in stroke:
            if not (0 <= x < across and 0 <= y < down):
                raise PromptRejectedError(
                    "point_outside",
                    f"Points of stroke {number} must lie in 0 <= x < {across}, 0 <= y < {down}; "
                    f"one is ({x:g}, {y:g}).",
                )
        points = np.floor(np.asarray(stroke, np.float64)).astype(np.int32)
        cv2.polylines(canvas, [np.concatenate([points, points[-1:]])], False, (1,), width)
    return canvas.astype(np.bool_)
