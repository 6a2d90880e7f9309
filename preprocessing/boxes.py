"""Axis-aligned boxes, xyxy, right and bottom exclusive."""

from __future__ import annotations

import numpy as np

from preprocessing.arrays import Floats


def area(boxes: Floats) -> Floats:
    """Area (N,) of (N, 4) boxes; 0 where a box is reversed."""
    sides = np.clip(boxes[:, 2:] - boxes[:, :2], 0, None)
    return np.asarray(sides[:, 0] * sides[:, 1])


def iou(boxes: Floats, others: Floats) -> Floats:
    """Intersection over union, (N, M), of (N, 4) with (M, 4); 0 where both are empty.

    >>> found = iou(np.float32([[0, 0, 2, 2]]), np.float32([[1, 0, 3, 2], [5, 5, 6, 6]]))
    >>> [round(float(value), 2) for value in found[0]]
    [0.33, 0.0]
    """
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    sides = np.clip(high - low, 0, None)
    overlap = sides[..., 0] * sides[..., 1]
    union = area(boxes)[:, None] + area(others)[None, :] - overlap
    return np.asarray(overlap / np.maximum(union, np.finfo(np.float32).tiny))
