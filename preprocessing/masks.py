"""Operations on masks: bool (H, W), True = edit."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from preprocessing.arrays import Mask, Plane
from preprocessing.errors import MaskRejectedError

Polygon = list[tuple[int, int]]
_MAX_ELLIPSE = 12


def area(mask: Mask) -> int:
    """Number of pixels in the mask."""
    # NumPy lets no other thread run while it counts: a millisecond for 12 megapixels.
    return cv2.countNonZero(_bytes(mask)) if mask.size else 0


def coverage(mask: Mask) -> float:
    """Share of the picture in the mask, 0 to 1."""
    return area(mask) / mask.size


def bounding_box(mask: Mask) -> tuple[int, int, int, int] | None:
    """Tightest (x0, y0, x1, y1) in pixels, right and bottom exclusive; None for an empty mask.

    >>> bounding_box(np.eye(5, dtype=bool)[:3])
    (0, 0, 3, 3)
    """
    rows = np.flatnonzero(mask.any(1))
    if not len(rows):
        return None
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    columns = np.flatnonzero(mask[top:bottom].any(0))
    return int(columns[0]), top, int(columns[-1]) + 1, bottom


def require_usable(mask: Mask) -> None:
    """Refuse a mask that leaves nothing to do or nothing to keep.

    Raises:
        MaskRejectedError: mask_empty or mask_full.
    """
    chosen = area(mask)
    if chosen == 0:
        raise MaskRejectedError(
            "mask_empty", f"The mask must select at least 1 pixel; it selects 0 of {mask.size}."
        )
    if chosen == mask.size:
        raise MaskRejectedError(
            "mask_full",
            f"The mask must leave at least 1 pixel as it is; it selects all {mask.size}.",
        )


def require_size(mask: Mask, size_wh: tuple[int, int]) -> None:
    """Refuse a mask of another size than its picture.

    Raises:
        MaskRejectedError: mask_size.
    """
    height, width = mask.shape
    if (width, height) != size_wh:
        raise MaskRejectedError(
            "mask_size",
            f"The mask must be as large as its image, {size_wh[0]} x {size_wh[1]}; "
            f"it is {width} x {height}.",
        )


def binarise(soft: Plane, threshold: int = 128) -> Mask:
    """Select the levels from `threshold` on; soft (H, W) uint8."""
    return np.asarray(soft >= threshold)


def hard(levels: Mask | Plane) -> Mask:
    """A mask without its soft edge; one that has none comes back as it is."""
    if levels.dtype == np.bool_:
        return np.asarray(levels, np.bool_)
    return binarise(np.asarray(levels, np.uint8))


def white(levels: Mask | Plane) -> Plane:
    """A mask, soft or not, as grey levels (H, W) uint8, 255 = edit."""
    if levels.dtype == np.bool_:
        return np.asarray(levels, np.uint8) * np.uint8(255)
    return np.asarray(levels, np.uint8)


def invert(mask: Mask) -> Mask:
    """Swap inside and outside."""
    return ~mask


def grow(mask: Mask, px: int) -> Mask:
    """Dilate by an ellipse that reaches `px` pixels, a disc above 12; ValueError below 0."""
    if px > _MAX_ELLIPSE:
        return _near(mask, px)
    return cv2.dilate(_bytes(mask), _ellipse(px)).astype(np.bool_)


def grow_levels(levels: Plane, px: int) -> Plane:
    """`grow` for a soft mask: each pixel takes the highest level within `px`."""
    return np.asarray(cv2.dilate(levels, _ellipse(px)), np.uint8)


def shrink(mask: Mask, px: int) -> Mask:
    """Erode by an ellipse that reaches `px` pixels, a disc above 12; ValueError below 0.

    The picture's own edge does not eat into the mask.
    """
    if px > _MAX_ELLIPSE:
        return ~_near(~mask, px)
    return cv2.erode(_bytes(mask), _ellipse(px)).astype(np.bool_)


def fill_holes(mask: Mask, max_area: int | None = None) -> Mask:
    """Fill what the mask encloses, only holes up to `max_area` pixels where one is given.

    Diagonal neighbours in the mask are connected; those of a hole are not.
    """
    outlines, _ = cv2.findContours(_bytes(mask), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    filled = cv2.drawContours(np.zeros(mask.shape, np.uint8), outlines, -1, (1,), -1)
    holes = np.asarray(filled, np.bool_) & ~mask
    if max_area is None:
        return mask | holes
    return mask | (holes & ~_parts_from(holes, max_area + 1, connectivity=4))


def remove_islands(mask: Mask, min_area: int) -> Mask:
    """Drop connected parts (diagonals connect) of fewer than `min_area` pixels."""
    return _parts_from(mask, min_area, connectivity=8)


def largest_component(mask: Mask) -> Mask:
    """Keep the largest connected part (diagonals connect); the first by rows if equal."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(_bytes(mask), connectivity=8)
    if count < 2:
        return np.zeros_like(mask)
    return np.asarray(labels == 1 + np.argmax(stats[1:, cv2.CC_STAT_AREA]))


def union(first: Mask, *others: Mask) -> Mask:
    """Pixels in any of the masks."""
    return np.asarray(np.logical_or.reduce([first, *others]))


def intersect(first: Mask, *others: Mask) -> Mask:
    """Pixels in all of the masks."""
    return np.asarray(np.logical_and.reduce([first, *others]))


def subtract(first: Mask, *others: Mask) -> Mask:
    """Pixels in the first mask and in none of the others.

    >>> a, b = np.array([[True, True, False]]), np.array([[False, True, True]])
    >>> [bool(v) for v in subtract(a, b)[0]]
    [True, False, False]
    """
    return first & ~union(*others) if others else first.copy()


def resize_mask(mask: Mask, size_wh: tuple[int, int]) -> Mask:
    """Resize, keeping the pixels that are at least half covered; thin features may vanish."""
    height, width = mask.shape
    if (width, height) == size_wh:
        return mask.copy()
    smaller = size_wh[0] * size_wh[1] < mask.size
    method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return binarise(
        np.asarray(cv2.resize(_bytes(mask) * 255, size_wh, interpolation=method), np.uint8)
    )


def resize_levels(levels: Plane, size_wh: tuple[int, int]) -> Plane:
    """Resize a soft mask; levels between appear at its edges."""
    if levels.shape[::-1] == size_wh:
        return levels
    smaller = size_wh[0] * size_wh[1] < levels.size
    method = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(levels, size_wh, interpolation=method), np.uint8)


def polygons(mask: Mask) -> list[Polygon]:
    """Outlines and holes as points (x, y): the pixels on the mask's border, by even-odd rule."""
    found, _ = cv2.findContours(_bytes(mask), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    return [[(int(x), int(y)) for x, y in outline[:, 0]] for outline in found]


def from_polygons(outlines: Sequence[Polygon], shape_hw: tuple[int, int]) -> Mask:
    """Fill polygons by the even-odd rule, borders included; the inverse of `polygons`.

    >>> square = np.pad(np.ones((3, 3), bool), 1)
    >>> bool((from_polygons(polygons(square), (5, 5)) == square).all())
    True
    """
    canvas = np.zeros(shape_hw, np.uint8)
    if outlines:
        cv2.fillPoly(canvas, [np.asarray(points, np.int32) for points in outlines], (1,))
    return canvas.astype(np.bool_)


def _parts_from(mask: Mask, min_area: int, *, connectivity: int) -> Mask:
    """The connected parts of at least `min_area` pixels."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(_bytes(mask), connectivity=connectivity)
    keep = stats[:, cv2.CC_STAT_AREA] >= min_area
    keep[0] = False
    return np.asarray(keep[labels], np.bool_)


def _near(mask: Mask, px: int) -> Mask:
    """Pixels within `px` of the mask: from a dozen pixels on faster than a structuring element."""
    if not mask.any():
        return mask.copy()
    away = cv2.distanceTransform(_bytes(~mask), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(away <= px + 0.01, np.bool_)


def _bytes(mask: Mask) -> Plane:
    return np.ascontiguousarray(mask).view(np.uint8)


def _ellipse(px: int) -> Plane:
    if px < 0:
        raise ValueError(f"Pixels must be at least 0; got {px}.")
    side = 2 * px + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)
