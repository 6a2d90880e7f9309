"""A hint of the shadow that an inserted object will cast, for the generator to finish."""

from __future__ import annotations

import cv2
import numpy as np

from preprocessing.arrays import Floats, Image, Mask, Plane
from preprocessing.masks import bounding_box

# All five as the insertion adapters saw them in training.
OFFSET_XY = (3, 5)
"""Pixels right and down that the shadow lies off its object."""
OPACITY = 0.4
"""Of the shadow at its darkest."""
BLUR = 21
"""Side of the Gaussian window, sigma as OpenCV derives it (3.5)."""
EXPANSION = 7
"""Side of the ellipse by which the mask grows around object and shadow."""


def shadow_levels(object_mask: Mask) -> Plane:
    """The hard shadow: the object moved, fading in from its top (0) to its bottom (255).

    Objects touch the ground at the bottom; higher up they cast next to nothing.

    >>> column = np.zeros((9, 5), bool)
    >>> column[0:3, 0] = True
    >>> shadow_levels(column)[:, 3].tolist()
    [0, 0, 0, 0, 0, 0, 127, 255, 0]
    """
    height, width = object_mask.shape
    levels = np.zeros((height, width), np.uint8)
    box = bounding_box(object_mask)
    if box is None:
        return levels
    dx, dy = OFFSET_XY
    x0, y0, x1, y1 = box
    ramp = np.linspace(0, 255, y1 - y0) if y1 - y0 > 1 else np.zeros(1)
    moved = (object_mask[y0:y1, x0:x1] * ramp[:, None]).astype(np.uint8)
    room = moved[: max(0, height - y0 - dy), : max(0, width - x0 - dx)]
    levels[y0 + dy : y0 + dy + room.shape[0], x0 + dx : x0 + dx + room.shape[1]] = room
    return levels


def with_shadow(image: Image, object_mask: Mask) -> Image:
    """Darken the ground beside the object: pixel * (1 - opacity * blurred shadow).

    Args:
        image: (H, W, 3) uint8.
        object_mask: (H, W) bool; the object itself is not darkened.
    """
    blurred = cv2.GaussianBlur(shadow_levels(object_mask), (BLUR, BLUR), 0)
    factor = 1 - np.float32(OPACITY / 255) * _where(blurred, ~object_mask)
    return np.rint(image * factor[..., None]).astype(np.uint8)


def expanded_mask(object_mask: Mask) -> Plane:
    """What the generator may paint: object and shadow, grown; the shadow at its own level.

    Args:
        object_mask: (H, W) bool.

    Returns:
        (H, W) uint8, 255 on the object.
    """
    either = np.where(object_mask, np.uint8(255), shadow_levels(object_mask))
    ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (EXPANSION, EXPANSION))
    return np.asarray(cv2.dilate(either, ellipse), np.uint8)


def _where(levels: Plane | cv2.typing.MatLike, chosen: Mask) -> Floats:
    return np.where(chosen, levels, 0).astype(np.float32)
