"""From what a generator painted to the finished edit: registered, colour-corrected, pasted back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from preprocessing.arrays import Image, Mask, Plane
from preprocessing.compose import (
    Preservation,
    Preserve,
    blend_into,
    resized,
)
from preprocessing.crop import Box
from preprocessing.masks import binarise, bounding_box, coverage, resize_mask
from preprocessing.motion import Motion
from preprocessing.patched import PatchedImage
from preprocessing.registration import MAX_SHIFT, estimate_motion
from preprocessing.ring import (
    GAP_PX,
    WIDTH_PX,
    ColourCast,
    estimate_cast,
    is_flat,
    mean_difference,
    places_on,
    ring_around,
)

ALIGN_SIDE = 512
"""Larger pictures are compared at about this side: a shift shows to some hundredths of a pixel."""
_MARGIN_PX = 24
UNRELATED = (
    "Around the mask the painted picture does not show the original (correlation {:.2f}); "
    "it was pasted as it is."
)


@dataclass(frozen=True, eq=False)
class Stitched:
    """A finished edit."""

    picture: PatchedImage
    preservation: Preservation | None
    """None where nothing of the original was put back."""
    warnings: tuple[str, ...] = ()

    @property
    def pixels(self) -> Image:
        """(H, W, 3) uint8, put together."""
        return self.picture.whole()


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
        own = resized(painted, (x1 - x0, y1 - y0))
        return Stitched(PatchedImage(original, own, (x0, y0)), None)
    inside = binarise(levels)
    touched = levels > 0 if preserve is Preserve.SOFT else inside
    reach_px = feather_px if preserve is Preserve.SOFT else 0
    size_wh = x1 - x0, y1 - y0
    # One pixel of outside around what changes tells the blend where its edges are.
    box = _grown(bounding_box(touched[part]) or (0, 0, 1, 1), reach_px + 1, size_wh)
    aligned = align(original[part], painted, inside[part])
    corner = left, top = x0 + box[0], y0 + box[1]
    near = np.s_[top : y0 + box[3], left : x0 + box[2]]
    patch = original[near].copy()
    blended = blend_into(
        patch,
        aligned.shown(size_wh, box),
        levels[near],
        feather_px=feather_px,
        preserve=preserve,
    )
    largest = blended.largest_change(original[near], patch)
    zoom_x, zoom_y = (x1 - x0) / painted.shape[1], (y1 - y0) / painted.shape[0]
    motion, difference = aligned.motion, aligned.difference
    preservation = Preservation(
        outside_equal=largest == 0,
        outside_max_abs=largest,
        feather_px=blended.feather_px,
        mask_coverage=coverage(inside),
        mask_box=bounding_box(inside) or (0, 0, 0, 0),
        shift=(round(motion.shift[0] * zoom_x, 3), round(motion.shift[1] * zoom_y, 3)),
        scale=round(motion.scale, 6),
        ring_delta_e=None if difference is None else round(difference, 3),
    )
    warnings = () if aligned.is_related else (UNRELATED.format(motion.correlation),)
    return Stitched(PatchedImage(original, patch, corner), preservation, warnings)


@dataclass(frozen=True, eq=False)
class Aligned:
    """What the generator did to the whole of a picture, and the picture without it."""

    painted: Image
    """As it was given, (h, w, 3) uint8."""
    motion: Motion
    """As it was found."""
    undone: Motion
    """What of it is undone: nothing where the pictures are not related."""
    cast: ColourCast
    """Undone too."""
    difference: float | None
    """Mean CIEDE2000 left on the ring; None where there is no ring."""
    is_related: bool
    """Whether the ring shows the original, or nothing that could tell."""

    def shown(self, size_wh: tuple[int, int], box: Box) -> Image:
        """A box of the picture at another size, without what was done; not to be written to.

        Args:
            size_wh: sides of the original.
            box: xyxy in the original.
        """
        height, width = self.painted.shape[:2]
        if (width, height) == size_wh:
            return self.cast.undo(self.undone.undo(self.painted, box))
        x0, y0, x1, y1 = own = _scaled(box, size_wh, (width, height))
        freed = self.painted.copy()
        freed[y0:y1, x0:x1] = self.cast.undo(self.undone.undo(self.painted, own))
        return resized(freed, size_wh)[box[1] : box[3], box[0] : box[2]]


def align(original: Image, painted: Image, mask: Mask) -> Aligned:
    """Find what the generator did to the whole picture.

    Args:
        original: (H, W, 3) uint8.
        painted: (h, w, 3) uint8, the same picture, perhaps at another size.
        mask: (H, W) bool, where they may differ.
    """
    height, width = painted.shape[:2]
    reduced = max(1, round(max(width, height) / ALIGN_SIDE))
    box, compared = (0, 0, width, height), painted
    if original.shape == painted.shape:  # both are cut to the pixel, and less is reduced
        box = x0, y0, x1, y1 = _around_ring(mask, reduced)
        near = np.s_[y0:y1, x0:x1]
        original, compared, mask = original[near], painted[near], mask[near]
    small_wh = (
        max(1, round((box[2] - box[0]) / reduced)),
        max(1, round((box[3] - box[1]) / reduced)),
    )
    wanted, small = resized(original, small_wh), resized(compared, small_wh)
    ring = ring_around(resize_mask(mask, small_wh), width_px=round(WIDTH_PX / reduced))
    found = estimate_motion(wanted, small, ring, side=round(max(width, height) / reduced))
    places = places_on(ring)
    before, after = wanted[places], small[places]
    # A wall or a clear sky has nothing to align by, but its colour must meet the original's.
    has_no_detail = is_flat(before) and is_flat(after)
    undone, cast = Motion(), ColourCast()
    motion = replace(found, shift=(found.shift[0] * reduced, found.shift[1] * reduced))
    motion = motion.of_whole(box, (width, height))
    if found.is_trusted or has_no_detail:
        after = found.undone_at(small, *places)
        undone, cast = motion, estimate_cast(before, after)
        after = cast.undo(after)
    difference = mean_difference(before, after)
    is_related = found.is_trusted or has_no_detail or difference is None
    return Aligned(painted, motion, undone, cast, difference, is_related)


def _around_ring(mask: Mask, reduced: int) -> Box:
    """All that says how a picture moved, as far as it may have moved.

    Where the picture does not end, in whole pixels of what it is reduced to: with other factors
    that takes thrice as long.
    """
    size_wh = mask.shape[1], mask.shape[0]
    reach_px = WIDTH_PX + (GAP_PX + 2) * reduced + round(MAX_SHIFT * max(size_wh))
    x0, y0, x1, y1 = _grown(bounding_box(mask) or (0, 0, *size_wh), reach_px, size_wh)
    right, bottom = min(size_wh[0], x1 + -x1 % reduced), min(size_wh[1], y1 + -y1 % reduced)
    return x0 - x0 % reduced, y0 - y0 % reduced, right, bottom


def _grown(box: Box, px: int, size_wh: tuple[int, int]) -> Box:
    """A box with a margin, within a picture of a size."""
    x0, y0, x1, y1 = box
    return max(0, x0 - px), max(0, y0 - px), min(size_wh[0], x1 + px), min(size_wh[1], y1 + px)


def _scaled(box: Box, from_wh: tuple[int, int], size_wh: tuple[int, int]) -> Box:
    """A box of a picture at another size, with a margin for resampling."""
    zoom_x, zoom_y = size_wh[0] / from_wh[0], size_wh[1] / from_wh[1]
    x0, y0 = int(box[0] * zoom_x), int(box[1] * zoom_y)
    x1, y1 = int(box[2] * zoom_x) + 1, int(box[3] * zoom_y) + 1
    return _grown((x0, y0, x1, y1), _MARGIN_PX, size_wh)
