"""The condition images of every task, in the order that the task adapters were trained on.

I is the picture and M the mask, white = edit, both at the size that will be painted. White balance
and removal show the picture as it is or without the masked part, insertion what to insert first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from preprocessing.arrays import Image, Mask, Plane
from preprocessing.cutout import mask_of_reference
from preprocessing.masks import binarise, require_size
from preprocessing.placement import place_in_regions
from preprocessing.shadow import expanded_mask, with_shadow

CANNY_LOW, CANNY_HIGH = 0.67, 1.33
"""Thresholds as shares of the median grey level, a third to either side of it."""


@dataclass(frozen=True, eq=False)
class Conditions:
    """What a generator gets to see."""

    images: tuple[Image, ...]
    """RGB (H, W, 3) uint8, in the order of the recipe."""
    labels: tuple[str, ...]
    """What each of them is."""
    placed: Mask | None = None
    """Where the reference's shape was put; for insertion with a reference and its mask."""


def insertion(
    image: Image,
    levels: Plane,
    *,
    reference: Image | None = None,
    reference_mask: Mask | None = None,
) -> Conditions:
    """Put something into the masked regions.

    With a reference and its mask R: [reference, expanded P, shadow-hinted I without P], P being R
    fitted into each region of M. With a reference alone: [reference letterboxed on white, expanded
    M, shadow-hinted I without M]. With neither: [M, I without M].

    Args:
        image: (H, W, 3) uint8.
        levels: (H, W) uint8, 255 = here.
        reference: (h, w, 3) uint8, the object.
        reference_mask: (h, w) bool, where the object is in the reference, or in the picture that
            the reference was cut out of.

    Raises:
        MaskRejectedError: mask_size, mask_empty.

    >>> grey, mask = np.full((40, 40, 3), 90, np.uint8), np.zeros((40, 40), np.uint8)
    >>> mask[10:20, 10:20] = 255
    >>> insertion(grey, mask).labels
    ('mask', 'masked_image')
    >>> insertion(grey, mask, reference=grey).labels
    ('reference', 'expanded_mask', 'shadow_hint')
    """
    require_size(binarise(levels), _size_wh(image))
    if reference is None:
        return Conditions((_rgb(levels), without(image, levels)), ("mask", "masked_image"))
    labels = ("reference", "expanded_mask", "shadow_hint")
    if reference_mask is None:
        shown, where, placed = on_white(reference, _size_wh(image)), binarise(levels), None
        hole = levels
    else:
        shape = mask_of_reference(reference_mask, _size_wh(reference))
        shown = reference
        where = placed = place_in_regions(shape, binarise(levels))
        hole = np.where(placed, np.uint8(255), np.uint8(0))
    hinted = without(with_shadow(image, where), hole)
    return Conditions((shown, _rgb(expanded_mask(where)), hinted), labels, placed)


def removal(image: Image, levels: Plane, prefill: Image) -> Conditions:
    """Take what is masked away: [I without M, M, prefill].

    Args:
        image: (H, W, 3) uint8.
        levels: (H, W) uint8, 255 = remove.
        prefill: (H, W, 3) uint8, a first guess of what is behind it.

    Raises:
        MaskRejectedError: mask_size.

    >>> grey, mask = np.full((4, 4, 3), 90, np.uint8), np.full((4, 4), 255, np.uint8)
    >>> [int(each.max()) for each in removal(grey, mask, grey).images]
    [0, 255, 90]
    """
    require_size(binarise(levels), _size_wh(image))
    images = without(image, levels), _rgb(levels), prefill
    return Conditions(images, ("masked_image", "mask", "prefill"))


def white_balance(image: Image) -> Conditions:
    """Correct the colours and nothing else: [I, Canny(I)].

    >>> flat = np.full((8, 8, 3), 90, np.uint8)
    >>> [int(each.max()) for each in white_balance(flat).images]
    [90, 0]
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    middle = float(np.median(grey))
    edges = cv2.Canny(grey, CANNY_LOW * middle, min(255.0, CANNY_HIGH * middle))
    return Conditions((image, _rgb(np.asarray(edges, np.uint8))), ("image", "edges"))


def edit(image: Image, references: Sequence[Image] = ()) -> Conditions:
    """Follow the prompt: [I, further pictures...].

    >>> edit(np.zeros((4, 4, 3), np.uint8)).labels
    ('image',)
    """
    labels = tuple(f"reference_{number}" for number in range(1, len(references) + 1))
    return Conditions((image, *references), ("image", *labels))


def inpaint(image: Image, levels: Plane, references: Sequence[Image]) -> Conditions:
    """Repaint what is masked with an eye on further pictures: [I without M, M, further...].

    For the edit model. Inpainting without further pictures goes to the generator, which takes
    picture and mask as they are.

    Raises:
        MaskRejectedError: mask_size.
    """
    require_size(binarise(levels), _size_wh(image))
    labels = tuple(f"reference_{number}" for number in range(1, len(references) + 1))
    images = without(image, levels), _rgb(levels), *references
    return Conditions(images, ("masked_image", "mask", *labels))


def without(image: Image, levels: Plane) -> Image:
    """I (1 - M), rounded: black where the mask is white.

    >>> without(np.full((1, 3, 3), 200, np.uint8), np.uint8([[0, 51, 255]]))[0, :, 0].tolist()
    [200, 160, 0]
    """
    left = (np.uint16(255) - levels)[..., None] * image.astype(np.uint16)
    return ((left + np.uint16(127)) // np.uint16(255)).astype(np.uint8)


def on_white(picture: Image, size_wh: tuple[int, int]) -> Image:
    """Fit into a white canvas of `size_wh`, aspect kept, centred.

    >>> on_white(np.zeros((2, 4, 3), np.uint8), (8, 8))[:, 0, 0].tolist()
    [255, 255, 0, 0, 0, 0, 255, 255]
    """
    height, width = picture.shape[:2]
    scale = min(size_wh[0] / width, size_wh[1] / height)
    content = max(1, round(width * scale)), max(1, round(height * scale))
    left, top = (size_wh[0] - content[0]) // 2, (size_wh[1] - content[1]) // 2
    canvas = np.full((size_wh[1], size_wh[0], 3), 255, np.uint8)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LANCZOS4
    canvas[top : top + content[1], left : left + content[0]] = cv2.resize(
        picture, content, interpolation=method
    )
    return canvas


def _rgb(levels: Plane) -> Image:
    return np.repeat(levels[..., None], 3, axis=2)


def _size_wh(image: Image) -> tuple[int, int]:
    return image.shape[1], image.shape[0]
