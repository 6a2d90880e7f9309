"""A first guess of what is behind an object that is to be removed."""

from __future__ import annotations

import cv2
import numpy as np

from preprocessing.arrays import Image, Mask
from preprocessing.masks import grow

BRUSH_GROW_PX = 35
"""Hand-drawn masks miss an object's rim and shadow; as the removal adapters saw it in training."""
_RADIUS_PX = 5  # of the neighbourhood a pixel is taken from


def telea(image: Image, mask: Mask, *, grow_px: int = BRUSH_GROW_PX) -> Image:
    """Fill the grown mask from its rim inwards.

    Telea: An image inpainting technique based on the fast marching method (2004), by OpenCV. It
    blurs where a generator would invent; it is a hint, never the result.

    Args:
        image: (H, W, 3) uint8.
        mask: (H, W) bool.
        grow_px: 0 for masks that hold the whole object.
    """
    hole = grown(mask, grow_px)
    return np.asarray(cv2.inpaint(image, hole.view(np.uint8), _RADIUS_PX, cv2.INPAINT_TELEA))


def grown(mask: Mask, grow_px: int) -> Mask:
    """The mask with a rim, but never the whole picture: something must be left to fill from."""
    wider = grow(mask, grow_px)
    return mask if wider.all() else wider
