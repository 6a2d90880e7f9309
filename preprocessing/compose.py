"""Put an edited picture back into the original, touching nothing outside the mask."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from preprocessing.arrays import Floats, Image, Mask
from preprocessing.masks import bounding_box, coverage, require_size


@dataclass(frozen=True)
class Preservation:
    """What is left of the original, measured on the result."""

    outside_equal: bool
    """Every pixel outside the mask is the original's, bit for bit."""
    outside_max_abs: int
    """Largest difference of a channel outside the mask, 0 to 255."""
    feather_px: int
    """Width of the ramp inside the mask that was used."""
    mask_coverage: float
    """Share of the picture in the mask, 0 to 1."""
    mask_box: tuple[int, int, int, int]
    """Bounding box of the mask, xyxy, exclusive; all 0 for an empty mask."""


def paste(
    original: Image, edited: Image, mask: Mask, *, feather_px: int = 8
) -> tuple[Image, Preservation]:
    """Blend `edited` into `original` within the mask.

    The weight of the edit is 0 outside the mask and rises inside it with the distance to its edge:
    d / (feather_px + 1) in pixels, up to 1. A mask too thin for that gets a ramp of half its depth,
    so that its middle is fully edited. The picture's own edge is no edge of the mask.

    Args:
        original: (H, W, 3) uint8.
        edited: (h, w, 3) uint8, resized to the original's size if it differs.
        mask: (H, W) bool.
        feather_px: width of the ramp in pixels, 0 for a hard edge.

    Raises:
        MaskRejectedError: mask_size, the mask is not as large as the original.
        ValueError: feather_px is below 0.
    """
    if feather_px < 0:
        raise ValueError(f"The feather must be at least 0 pixels; got {feather_px}.")
    size_wh = original.shape[1], original.shape[0]
    require_size(mask, size_wh)
    box = bounding_box(mask)
    result = original.copy()
    if box is not None:
        weight, feather_px = _ramp(mask, box, feather_px)
        area = np.s_[box[1] : box[3], box[0] : box[2]]
        result[area] = _blend(original[area], resized(edited, size_wh)[area], weight)
    return result, _measure(original, result, mask, feather_px)


def _ramp(mask: Mask, box: tuple[int, int, int, int], feather_px: int) -> tuple[Floats, int]:
    """Weight of the edit in the mask's box, and the width of the ramp."""
    x0, y0, x1, y1 = box
    left, top = max(0, x0 - 1), max(0, y0 - 1)
    # One pixel of outside around the box is enough to measure every distance inside it.
    around = np.ascontiguousarray(mask[top : y1 + 1, left : x1 + 1]).view(np.uint8)
    depth = cv2.distanceTransform(around, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    inner = depth[y0 - top : y1 - top, x0 - left : x1 - left]
    feather_px = min(feather_px, int(inner.max()) // 2)
    return np.minimum(inner / np.float32(feather_px + 1), np.float32(1)), feather_px


def resized(edited: Image, size_wh: tuple[int, int]) -> Image:
    """Bring a picture to a size: area averages when it shrinks, Lanczos when it grows."""
    height, width = edited.shape[:2]
    if (width, height) == size_wh:
        return edited
    smaller = size_wh[0] * size_wh[1] < width * height
    method = cv2.INTER_AREA if smaller else cv2.INTER_LANCZOS4
    return np.asarray(cv2.resize(edited, size_wh, interpolation=method), np.uint8)


def _blend(original: Image, edited: Image, weight: Floats) -> Image:
    base = original.astype(np.float32)
    mixed = base + (edited.astype(np.float32) - base) * weight[..., None]
    return np.asarray(np.rint(mixed), np.uint8)


def _measure(original: Image, result: Image, mask: Mask, feather_px: int) -> Preservation:
    outside = (~mask).view(np.uint8)
    largest = int(cv2.norm(original, result, cv2.NORM_INF, mask=outside))
    box = bounding_box(mask) or (0, 0, 0, 0)
    return Preservation(largest == 0, largest, feather_px, coverage(mask), box)
