"""Each instance alone on a small square, as a text-and-image model wants to see it."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from preprocessing.arrays import Image
from preprocessing.fastsam import Instances, instance_patch

BACKGROUND = (122, 116, 104)
"""The mean colour of CLIP's training pictures: to the network, nothing."""


def crop_objects(pixels: Image, instances: Instances, side: int, count: int) -> Image:
    """The first `count` instances cut out on a plain background, (n, side, side, 3) uint8.

    The object's longer side fills the square; its shape is kept.
    """
    shown = min(count, len(instances))
    crops = np.empty((shown, side, side, 3), np.uint8)
    crops[:] = BACKGROUND
    for index in range(shown):
        cutout = _cutout(pixels, instances, index)
        height, width = cutout.shape[:2]
        scale = side / max(height, width)
        size = max(1, round(width * scale)), max(1, round(height * scale))
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        left, top = (side - size[0]) // 2, (side - size[1]) // 2
        small = cv2.resize(cutout, size, interpolation=method)
        crops[index, top : top + size[1], left : left + size[0]] = small
    return crops


def likeness(
    text: npt.NDArray[np.float32], objects: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Share (n,) of each object in the text's meaning; they add up to 1.

    Softmax over 100 times the cosine, as CLIP was trained (Radford et al. 2021, figure 3).

    Args:
        text: unit vector (D,).
        objects: unit vectors (n, D), n from 1.
    """
    logits = 100 * (objects @ text)
    weights = np.exp(logits - logits.max())
    return np.asarray(weights / weights.sum(), np.float32)


def _cutout(pixels: Image, instances: Instances, index: int) -> Image:
    patch, (x0, y0, x1, y1) = instance_patch(instances, index)
    return np.where(patch[..., None], pixels[y0:y1, x0:x1], np.array(BACKGROUND, np.uint8))
