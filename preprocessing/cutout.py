"""Cut an object out of its picture onto a white square, and its mask by the same transform."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from preprocessing.arrays import Image, Mask, Plane
from preprocessing.colour import over
from preprocessing.errors import MaskRejectedError
from preprocessing.masks import binarise, bounding_box, require_size, resize_mask

SIDE, LARGE_SIDE = 512, 1024
"""References of the insertion adapters are squares of 512; 1024 for objects larger than that."""


@dataclass(frozen=True)
class Placement:
    """From a box in a picture to its place in the square."""

    box: tuple[int, int, int, int]
    side: int
    content_wh: tuple[int, int]
    left: int
    top: int


def plan_cutout(mask: Mask) -> Placement:
    """Fit the mask's box into the square, aspect kept, centred.

    Raises:
        MaskRejectedError: mask_empty.

    >>> wide = np.zeros((300, 400), bool)
    >>> wide[100:150, 100:300] = True
    >>> plan_cutout(wide)
    Placement(box=(100, 100, 300, 150), side=512, content_wh=(512, 128), left=0, top=192)
    """
    box = bounding_box(mask)
    if box is None:
        raise MaskRejectedError(
            "mask_empty", f"The mask must select at least 1 pixel; it selects 0 of {mask.size}."
        )
    width, height = box[2] - box[0], box[3] - box[1]
    side = SIDE if max(width, height) <= SIDE else LARGE_SIDE
    scale = side / max(width, height)
    content = max(1, round(width * scale)), max(1, round(height * scale))
    return Placement(box, side, content, (side - content[0]) // 2, (side - content[1]) // 2)


def cut_out(image: Image, levels: Plane) -> Image:
    """The object on white, (512, 512, 3) or (1024, 1024, 3) uint8.

    Args:
        image: (H, W, 3) uint8.
        levels: (H, W) uint8 mask; soft edges fade to white.

    Raises:
        MaskRejectedError: mask_empty, mask_size.
    """
    mask = binarise(levels)
    require_size(mask, (image.shape[1], image.shape[0]))
    plan = plan_cutout(mask)
    x0, y0, x1, y1 = plan.box
    # On white first: resized apart from its mask, the background would bleed into the edge.
    content = over(image[y0:y1, x0:x1], levels[y0:y1, x0:x1], 255)
    square = np.full((plan.side, plan.side, 3), 255, np.uint8)
    width, height = plan.content_wh
    smaller = width < x1 - x0
    method = cv2.INTER_AREA if smaller else cv2.INTER_LANCZOS4
    square[plan.top : plan.top + height, plan.left : plan.left + width] = cv2.resize(
        content, plan.content_wh, interpolation=method
    )
    return square


def cut_out_mask(mask: Mask) -> Mask:
    """The mask of the object that `cut_out` puts into the square.

    Raises:
        MaskRejectedError: mask_empty.
    """
    plan = plan_cutout(mask)
    x0, y0, x1, y1 = plan.box
    square = np.zeros((plan.side, plan.side), np.bool_)
    width, height = plan.content_wh
    square[plan.top : plan.top + height, plan.left : plan.left + width] = resize_mask(
        mask[y0:y1, x0:x1], plan.content_wh
    )
    return square


def mask_of_reference(reference_mask: Mask, reference_wh: tuple[int, int]) -> Mask:
    """The reference's own mask at the reference's size.

    A mask of the picture that the reference was cut out of is put through the same transform.

    Raises:
        MaskRejectedError: mask_empty; mask_size, it fits neither the reference nor its origin.
    """
    if reference_mask.shape[::-1] == reference_wh:
        plan_cutout(reference_mask)
        return reference_mask
    derived = cut_out_mask(reference_mask)
    require_size(derived, reference_wh)
    return derived
