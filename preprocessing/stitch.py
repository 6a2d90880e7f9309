"""From what a generator painted to the finished edit: registered, colour-corrected, pasted back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from preprocessing.arrays import Image, Mask, Plane
from preprocessing.compose import Preservation, Preserve, blend, measure, resized
from preprocessing.crop import Box
from preprocessing.masks import binarise, bounding_box, resize_mask
from preprocessing.registration import Motion, estimate_motion
from preprocessing.ring import WIDTH_PX, estimate_cast, flat_on, ring_around, ring_difference

ALIGN_SIDE = 512
"""Larger pictures are compared at this side: a shift shows to a few hundredths of a pixel there."""
_MARGIN_PX = 24
UNRELATED = (
    "Around the mask the painted picture does not show the original (correlation {:.2f}); "
    "it was pasted as it is."
)


@dataclass(frozen=True, eq=False)
class Stitched:
    """A finished edit."""

    pixels: Image
    preservation: Preservation | None
    """None where nothing of the original was put back."""
    warnings: tuple[str, ...] = ()


def stitch(
    original: Image,
    painted: Image,
    levels: Plane,
    *,
    crop: Box | None = None,
    preserve: Preserve = Preserve.EXACT,
    feather_px: int = 8,
) -> Stitched:
    """Bring a painted picture back into the original at the original's resolution.

    Shift, zoom and colour cast are estimated at the painted size on the ring around the mask and
    undone before the paste; where the ring does not show the original, nothing is undone.

    Args:
        original: (H, W, 3) uint8.
        painted: (h, w, 3) uint8: the crop, or the whole picture, as the generator gave it.
        levels: (H, W) uint8 mask, 255 = edit.
        crop: what of the original was painted, xyxy; None for all of it.
        preserve: what becomes of the original outside the mask. With none, the crop is the
            generator's to its edge.
        feather_px: as for `paste`.
    """
    x0, y0, x1, y1 = crop or (0, 0, original.shape[1], original.shape[0])
    part = np.s_[y0:y1, x0:x1]
    if preserve is Preserve.NONE:
        whole = original.copy()
        whole[part] = resized(painted, (x1 - x0, y1 - y0))
        return Stitched(whole, None)
    aligned = align(original[part], painted, binarise(levels[part]))
    edited = resized(aligned.painted, (x1 - x0, y1 - y0))
    blended, outside, feather_px = blend(
        original[part], edited, levels[part], feather_px=feather_px, preserve=preserve
    )
    whole, untouched = original.copy(), np.ones(levels.shape, np.bool_)
    whole[part], untouched[part] = blended, outside
    kept = measure(original, whole, levels, outside=untouched, feather_px=feather_px)
    zoom_x, zoom_y = (x1 - x0) / painted.shape[1], (y1 - y0) / painted.shape[0]
    motion, difference = aligned.motion, aligned.difference
    preservation = replace(
        kept,
        shift=(round(motion.shift[0] * zoom_x, 3), round(motion.shift[1] * zoom_y, 3)),
        scale=round(motion.scale, 6),
        ring_delta_e=None if difference is None else round(difference, 3),
    )
    warnings = () if aligned.is_related else (UNRELATED.format(motion.correlation),)
    return Stitched(whole, preservation, warnings)


@dataclass(frozen=True, eq=False)
class Aligned:
    """A painted picture without what the generator did to the whole of it."""

    painted: Image
    """At its own size, aligned in the mask and its margin."""
    motion: Motion
    """What was undone."""
    difference: float | None
    """Mean CIEDE2000 left on the ring; None where there is no ring."""
    is_related: bool
    """Whether the ring shows the original, or nothing that could tell."""


def align(original: Image, painted: Image, mask: Mask) -> Aligned:
    """Undo what the generator did to the whole picture.

    Args:
        original: (H, W, 3) uint8.
        painted: (h, w, 3) uint8, the same picture at another size.
        mask: (H, W) bool, where they may differ.
    """
    width, height = painted.shape[1], painted.shape[0]
    reduced = max(1.0, max(width, height) / ALIGN_SIDE)
    small_wh = round(width / reduced), round(height / reduced)
    wanted, small = resized(original, small_wh), resized(painted, small_wh)
    small_mask = resize_mask(mask, small_wh)
    ring = ring_around(small_mask, width_px=round(WIDTH_PX / reduced))
    found = estimate_motion(wanted, small, ring)
    motion = replace(found, shift=(found.shift[0] * reduced, found.shift[1] * reduced))
    # A wall or a clear sky has nothing to align by, but its colour must meet the original's.
    is_flat = flat_on(wanted, ring) and flat_on(small, ring)
    if found.is_trusted or is_flat:
        small = found.undo(small)
        cast = estimate_cast(wanted, small, ring)
        small = cast.undo(small)
        painted = cast.undo(motion.undo(painted, _around(mask, (width, height))))
    difference = ring_difference(wanted, small, ring)
    is_related = found.is_trusted or is_flat or difference is None
    return Aligned(painted, motion, difference, is_related)


def _around(mask: Mask, size_wh: tuple[int, int]) -> Box | None:
    """The mask's box at another size, with a margin for resampling."""
    box = bounding_box(mask)
    if box is None:
        return None
    zoom_x, zoom_y = size_wh[0] / mask.shape[1], size_wh[1] / mask.shape[0]
    x0, y0 = int(box[0] * zoom_x) - _MARGIN_PX, int(box[1] * zoom_y) - _MARGIN_PX
    x1, y1 = int(box[2] * zoom_x) + 1 + _MARGIN_PX, int(box[3] * zoom_y) + 1 + _MARGIN_PX
    return max(0, x0), max(0, y0), min(size_wh[0], x1), min(size_wh[1], y1)
