"""Where an object of a given shape goes: into every region that was marked for it."""

from __future__ import annotations

import cv2
import numpy as np

from preprocessing.arrays import Mask
from preprocessing.masks import bounding_box, resize_mask

MIN_REGION_PX = 100
"""Smaller regions are slips of the brush, unless there is no other."""


def place_in_regions(shape: Mask, marked: Mask) -> Mask:
    """Fit a shape into each connected region, aspect kept, centred on the region's box.

    Args:
        shape: (h, w) bool; cropped to its own box first.
        marked: (H, W) bool, not empty; diagonals connect.

    Returns:
        (H, W) bool.

    >>> marked = np.zeros((4, 12), bool)
    >>> marked[:, 0:4] = marked[1:3, 6:12] = True
    >>> place_in_regions(np.ones((1, 1), bool), marked).astype(int)[1].tolist()
    [1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 0, 0]
    """
    x0, y0, x1, y1 = bounding_box(shape) or (0, 0, 1, 1)
    object_shape = shape[y0:y1, x0:x1]
    placed = np.zeros_like(marked)
    for left, top, width, height in _regions(marked):
        _place(object_shape, placed[top : top + height, left : left + width])
    return placed


def _place(shape: Mask, region: Mask) -> None:
    """Draw the shape into one region's box, a view."""
    room_h, room_w = region.shape
    height, width = shape.shape
    scale = min(room_w / width, room_h / height)
    size_wh = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (room_w - size_wh[0]) // 2, (room_h - size_wh[1]) // 2
    region[top : top + size_wh[1], left : left + size_wh[0]] |= resize_mask(shape, size_wh)


def _regions(marked: Mask) -> list[tuple[int, int, int, int]]:
    """x, y, width and height of every region."""
    count, _, stats, _ = cv2.connectedComponentsWithStats(
        np.ascontiguousarray(marked).view(np.uint8), connectivity=8
    )
    found = [tuple(int(value) for value in stats[index]) for index in range(1, count)]
    large = [entry for entry in found if entry[4] >= MIN_REGION_PX] or found
    return [(x, y, width, height) for x, y, width, height, _ in large]
