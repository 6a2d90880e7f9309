"""Put an edited picture back into the original, touching nothing outside the mask."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np

from preprocessing.arrays import Floats, Image, Mask, Plane
from preprocessing.crop import Box
from preprocessing.masks import binarise, bounding_box, coverage, require_size


class Preserve(StrEnum):
    """What becomes of the original outside the mask."""

    EXACT = "exact"
    """Equal bit for bit; the blend lies inside the mask's edge."""
    SOFT = "soft"
    """The mask's levels are the weights, and the blend lies on both sides of its edge."""
    NONE = "none"
    """Nothing is put back: the picture is the generator's."""


@dataclass(frozen=True)
class Preservation:
    """What is left of the original, measured on the result."""

    outside_equal: bool
    """Every pixel outside the mask (soft: and its blend) is the original's, bit for bit."""
    outside_max_abs: int
    """Largest difference of a channel outside the mask, 0 to 255."""
    feather_px: int
    """Width of the ramp that was used."""
    mask_coverage: float
    """Share of the picture in the mask, 0 to 1."""
    mask_box: tuple[int, int, int, int]
    """Bounding box of the mask, xyxy, exclusive; all 0 for an empty mask."""
    shift: tuple[float, float] = (0.0, 0.0)
    """What the generator had moved, x and y in pixels of the original, and was moved back."""
    scale: float = 1.0
    """By how much it had zoomed, and was zoomed back."""
    ring_delta_e: float | None = None
    """Mean CIEDE2000 between original and edit on the ring around the mask, after that."""


def paste(
    original: Image,
    edited: Image,
    mask: Mask | Plane,
    *,
    feather_px: int = 8,
    preserve: Preserve = Preserve.EXACT,
) -> tuple[Image, Preservation]:
    """Blend `edited` into `original` within the mask.

    With `exact` the weight of the edit is 0 outside the mask and rises inside it with the distance
    to its edge: d / (feather_px + 1) in pixels, up to 1. A mask too thin for that gets a ramp of
    half its depth, so that its middle is fully edited. The picture's own edge is no edge of the
    mask. With `soft` the weight is the mask's level, blurred over `feather_px` on both sides.

    Args:
        original: (H, W, 3) uint8.
        edited: (h, w, 3) uint8, resized to the original's size if it differs.
        mask: (H, W) bool, or uint8 levels; for `exact` those from 128 on are the mask.
        feather_px: width of the ramp in pixels, 0 for a hard edge.
        preserve: exact or soft.

    Raises:
        MaskRejectedError: mask_size, the mask is not as large as the original.
        ValueError: feather_px is below 0, or preserve is none.
    """
    result = original.copy()
    blended = blend_into(result, edited, mask, feather_px=feather_px, preserve=preserve)
    largest, feather_px = blended.largest_change(original, result), blended.feather_px
    inside = selected(mask)
    box = bounding_box(inside) or (0, 0, 0, 0)
    return result, Preservation(largest == 0, largest, feather_px, coverage(inside), box)


@dataclass(frozen=True, eq=False)
class Blended:
    """What was written to, and how."""

    box: Box
    """xyxy of all that was written to."""
    outside: Mask
    """Of the box, where the edit has no weight."""
    feather_px: int
    """Width of the ramp that was used."""

    def largest_change(self, original: Image, result: Image) -> int:
        """Of a channel where the edit has no weight, 0 to 255."""
        x0, y0, x1, y1 = self.box
        if self.outside.size == 0:
            return 0
        part = np.s_[y0:y1, x0:x1]
        where = np.ascontiguousarray(self.outside).view(np.uint8)
        return int(cv2.norm(original[part], result[part], cv2.NORM_INF, mask=where))


def blend_into(
    canvas: Image,
    edited: Image,
    mask: Mask | Plane,
    *,
    feather_px: int = 8,
    preserve: Preserve = Preserve.EXACT,
) -> Blended:
    """As `paste`, onto the original itself."""
    if feather_px < 0:
        raise ValueError(f"The feather must be at least 0 pixels; got {feather_px}.")
    if preserve is Preserve.NONE:
        raise ValueError("With preserve none there is nothing to paste.")
    inside = selected(mask)
    size_wh = canvas.shape[1], canvas.shape[0]
    require_size(inside, size_wh)
    if preserve is Preserve.SOFT:
        weights = _blurred(mask, feather_px)
        box = bounding_box(weights > 0)
    else:
        box = bounding_box(inside)
    if box is None:
        return Blended((0, 0, 0, 0), np.zeros((0, 0), np.bool_), feather_px)
    area = np.s_[box[1] : box[3], box[0] : box[2]]
    if preserve is Preserve.SOFT:
        weight = np.ascontiguousarray(weights[area])
    else:
        weight, feather_px = _ramp(inside, box, feather_px)
    canvas[area] = _blend(canvas[area], resized(edited, size_wh)[area], weight)
    return Blended(box, np.asarray(weight == 0), feather_px)


def selected(mask: Mask | Plane) -> Mask:
    """A bool mask as it is, levels from 128 on."""
    return mask if mask.dtype == np.bool_ else binarise(mask)  # type: ignore[arg-type, return-value]


def _blurred(mask: Mask | Plane, feather_px: int) -> Floats:
    """Levels as weights, 0 to 1, spread by at most `feather_px`."""
    levels = mask.astype(np.float32) if mask.dtype == np.bool_ else mask / np.float32(255)
    if feather_px == 0:
        return np.asarray(levels, np.float32)
    side = 2 * feather_px + 1
    blurred = cv2.blur(levels, (side, side), borderType=cv2.BORDER_REPLICATE)
    # A running sum leaves dust where the weight is 0; a level of a mask is at least 1/255.
    return np.where(blurred < 1e-5, np.float32(0), np.asarray(blurred, np.float32))


def _ramp(mask: Mask, box: tuple[int, int, int, int], feather_px: int) -> tuple[Floats, int]:
    """Weight of the edit in the mask's box, and the width of the ramp."""
    x0, y0, x1, y1 = box
    left, top = max(0, x0 - 1), max(0, y0 - 1)
    # One pixel of outside around the box is enough to measure every distance inside it.
    around = np.ascontiguousarray(mask[top : y1 + 1, left : x1 + 1]).view(np.uint8)
    depth = cv2.distanceTransform(around, cv2.DIST_L2, cv2.DIST_MASK_5)  # to 2 %
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
    # It divides by the weights' sum and 1e-5: too little to turn a level into another one.
    mixed = cv2.blendLinear(np.ascontiguousarray(edited), original.copy(), weight, 1 - weight)
    return np.asarray(mixed, np.uint8)
