"""The ring around a mask: where an edit and its original should be the same picture.

What differs there is the generator's doing, not the edit: a shift, a zoom, a cast of colour.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np

from preprocessing.arrays import Doubles, Image, Integers, Mask
from preprocessing.colour_difference import ciede2000, lab
from preprocessing.masks import bounding_box
from preprocessing.robust import huber

GAP_PX = 2
"""Left out next to the mask: edges there belong to what was edited (the VAE's blur, shadows)."""
WIDTH_PX = 64
"""Reach beyond the gap, at about 1 megapixel."""
MIN_PIXELS = 400
"""With fewer nothing is estimated."""
FLAT_LEVELS = 6.0
"""Standard deviation of a channel: a wall with the noise of a camera has less, texture more."""
_SAMPLES = 2_000
_DARK, _BRIGHT = 4, 251  # beyond, channels are clipped and no longer follow a gain
_MAX_GAIN, _MAX_OFFSET = 1.4, 32.0
_SAME_GAIN = 2e-4  # a twentieth of a level at most
_OFFSET_STIFFNESS = 0.02  # a flat ring cannot tell offset from gain: then it is gain


Places: TypeAlias = tuple[Integers, Integers]
"""Rows and columns of some pixels."""


@dataclass(frozen=True)
class ColourCast:
    """Per channel, value = gain * painted + offset; identity when nothing was estimated."""

    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def undo(self, painted: Image) -> Image:
        """A picture, or some of its colours (N, 3), without the cast."""
        if self == ColourCast():
            return painted
        levels = np.arange(256, dtype=np.float64)
        curves = [levels * g + o for g, o in zip(self.gain, self.offset, strict=True)]
        table = np.clip(np.rint(np.stack(curves, -1)), 0, 255).astype(np.uint8)
        rows = painted if painted.ndim == 3 else painted[None]
        return np.asarray(cv2.LUT(rows, table[None]), np.uint8).reshape(painted.shape)


def ring_around(mask: Mask, *, gap_px: int = GAP_PX, width_px: int = WIDTH_PX) -> Mask:
    """Pixels outside the mask, more than `gap_px` and at most `gap_px + width_px` from it.

    >>> line = np.zeros((1, 9), bool)
    >>> line[0, 0] = True
    >>> ring_around(line, gap_px=2, width_px=3).astype(int).tolist()
    [[0, 0, 0, 1, 1, 1, 0, 0, 0]]
    """
    if not mask.any():
        return np.ones_like(mask)
    reach = gap_px + width_px + 1  # the distance is right to 2 %
    x0, y0, x1, y1 = bounding_box(mask) or (0, 0, 0, 0)
    near = np.s_[max(0, y0 - reach) : y1 + reach, max(0, x0 - reach) : x1 + reach]
    outside = (~mask[near]).view(np.uint8)
    distance = cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_5)
    ring = np.zeros_like(mask)
    ring[near] = (distance > gap_px) & (distance <= gap_px + width_px)
    return ring


def places_on(ring: Mask) -> Places:
    """Some thousand pixels of a ring, evenly picked: more do not tell more."""
    inside = np.flatnonzero(ring)
    rows, columns = np.divmod(inside[:: max(1, len(inside) // _SAMPLES)], ring.shape[1])
    return rows, columns


def estimate_cast(original: Image, painted: Image) -> ColourCast:
    """The gain and offset per channel that make painted colours the original's.

    Weighted least squares; weights after Huber keep objects that the generator changed, and parts
    that are clipped, from counting.

    Args:
        original: (N, 3) uint8 colours on the ring.
        painted: (N, 3) uint8 colours at the same places.
    """
    if len(original) < MIN_PIXELS:
        return ColourCast()
    pairs = [_line(painted[:, channel], original[:, channel]) for channel in range(3)]
    (g0, o0), (g1, o1), (g2, o2) = pairs
    return ColourCast((g0, g1, g2), (o0, o1, o2))


def is_flat(colours: Image) -> bool:
    """Whether colours (N, 3) are one, but for noise.

    >>> is_flat(np.full((4, 3), 90, np.uint8))
    True
    """
    return bool(len(colours) and colours.std(axis=0).max() < FLAT_LEVELS)


def mean_difference(original: Image, painted: Image) -> float | None:
    """Mean CIEDE2000 between colours (N, 3) at the same places; None where there are none."""
    if not len(original):
        return None
    return float(ciede2000(lab(original), lab(painted)).mean())


def _line(painted: Image, original: Image) -> tuple[float, float]:
    """Gain and offset of one channel."""
    usable = (painted > _DARK) & (painted < _BRIGHT) & (original > _DARK) & (original < _BRIGHT)
    if np.count_nonzero(usable) < MIN_PIXELS // 4:
        return 1.0, 0.0
    x, y = painted[usable].astype(np.float64), original[usable].astype(np.float64)
    gain, offset, weight = 1.0, 0.0, np.ones_like(x)
    for _ in range(5):
        before = gain, offset
        gain, offset = _weighted_line(x, y, weight)
        if abs(gain - before[0]) < _SAME_GAIN and abs(offset - before[1]) < 255 * _SAME_GAIN:
            break
        weight = huber(gain * x + offset - y, least=1.0)
    gain = float(np.clip(gain, 1 / _MAX_GAIN, _MAX_GAIN))
    return gain, float(np.clip(offset, -_MAX_OFFSET, _MAX_OFFSET))


def _weighted_line(x: Doubles, y: Doubles, weight: Doubles) -> tuple[float, float]:
    total = weight.sum()
    stiff = _OFFSET_STIFFNESS * total
    weighted = weight * x
    # Cramer's rule: for two unknowns a call of a solver takes longer than all else.
    xx, x1, xy, y1 = weighted @ x, weighted.sum(), weighted @ y, weight @ y
    determinant = xx * (total + stiff) - x1 * x1
    gain = (xy * (total + stiff) - x1 * y1) / determinant
    return float(gain), float((xx * y1 - x1 * xy) / determinant)
