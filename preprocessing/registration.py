"""Undo the shift and zoom that a generator gave to the whole picture.

Editing models move pixels that they were not asked to move. Shift and scale are estimated on the
ring around the mask, where both pictures show the same, to a fraction of a pixel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from preprocessing.arrays import Doubles, Floats, Image, Integers, Mask
from preprocessing.masks import bounding_box
from preprocessing.motion import MIN_CORRELATION, Motion, matrix_of, points_of, values_at
from preprocessing.ring import MIN_PIXELS, Places, places_on
from preprocessing.robust import huber

MAX_SHIFT = 0.05
"""Of the longer side; more is not the drift of a generator."""
MAX_ZOOM = 0.05
_COARSEST_SIDE = 48
_ROUNDS = 12
_CONVERGED_PX = 0.01
"""OpenCV looks between pixels in steps of 1/32: steps below this go back and forth. Over 240
pictures and masks half of it found no better, and took 8 rounds for 5."""
_ROUGHLY_PX = 0.05  # a coarse level only has to bring the next one near
_UNDETERMINED = 1e-4
_SAMPLES = 2_000
_SPREAD = 4
"""Every fourth of the steepest pixels is taken: the very steepest ones lie in few places, and
tell zoom from shift badly. Over 240 pictures and masks so many were at most 0.42 pixels off, as
many of the very steepest 18, five times as many of those 1.1."""
_GOOD_CORRELATION = 0.97
_SAME_CORRELATION = 0.99995


def estimate_motion(
    original: Image, painted: Image, ring: Mask, *, side: int | None = None
) -> Motion:
    """Find shift and scale between two pictures of one size.

    Gauss-Newton on grey values from coarse to fine, with a gain and an offset of brightness beside
    (Baker and Matthews: Lucas-Kanade 20 years on, 2004, parts 1 and 3).

    Args:
        original: (H, W, 3) uint8.
        painted: (H, W, 3) uint8.
        ring: (H, W) bool, where both show the same.
        side: longer one in pixels of what these are a part of; None for their own.

    Returns:
        The motion; a still one, with the correlation as it is, where the ring says too little.
    """
    if np.count_nonzero(ring) < MIN_PIXELS:
        return Motion()
    x0, y0, x1, y1 = bounding_box(ring) or (0, 0, 0, 0)
    part = np.s_[y0:y1, x0:x1]
    one, two, where = _grey(original[part]), _grey(painted[part]), ring[part]
    places = places_on(where)
    best = Motion(correlation=_correlation(one[places], two[places]))
    if best.correlation > _SAME_CORRELATION:
        return best
    pyramid = _pyramid(one, two, where)
    for levels in (pyramid, pyramid[-2:]):  # where the coarse levels are blank, they mislead
        found = _climb(levels, places)
        if found.correlation > max(best.correlation, MIN_CORRELATION) and _is_plausible(
            found, side or max(ring.shape)
        ):
            best = found
            if found.correlation > _GOOD_CORRELATION:
                break
    return best.of_whole((x0, y0, x1, y1), (ring.shape[1], ring.shape[0]))


def _is_plausible(motion: Motion, side: int) -> bool:
    return max(map(abs, motion.shift)) <= MAX_SHIFT * side and abs(motion.scale - 1) <= MAX_ZOOM


def _climb(levels: list[_Level], places: Places) -> Motion:
    """Start still at the first level and end at the last, the finest, where the places are."""
    shift, scale = np.zeros(2), 1.0
    for level in levels:
        tolerance = _CONVERGED_PX if level is levels[-1] else _ROUGHLY_PX
        moved, scale = _descend(level, shift * level.factor, scale, tolerance)
        shift = moved / level.factor
    finest = levels[-1]
    matrix = _matrix(shift, scale, finest)
    seen = values_at(finest.two, points_of(*places), matrix)
    correlation = _correlation(finest.one[places], np.asarray(seen, np.float32))
    return Motion((float(shift[0]), float(shift[1])), float(scale), correlation)


def _grey(picture: Image) -> Floats:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.float32)


@dataclass(frozen=True, eq=False)
class _Level:
    """Both pictures and the ring's weight at one scale."""

    one: Floats
    two: Floats
    weight: Floats
    factor: float

    def half(self) -> _Level:
        one, two, weight = (cv2.pyrDown(plane) for plane in (self.one, self.two, self.weight))
        return _Level(
            np.asarray(one, np.float32),
            np.asarray(two, np.float32),
            np.asarray(weight, np.float32),
            self.factor / 2,
        )


def _pyramid(one: Floats, two: Floats, ring: Mask) -> list[_Level]:
    """Coarsest first."""
    levels = [_Level(one, two, ring.astype(np.float32), 1.0)]
    while min(levels[-1].one.shape) >= 2 * _COARSEST_SIDE:
        levels.append(levels[-1].half())
    return levels[::-1]


def _descend(
    level: _Level, shift: Doubles, scale: float, tolerance_px: float
) -> tuple[Doubles, float]:
    """Improve shift and scale at one level of the pyramid until they change by less.

    Weights after Huber, each step's from what the step before had left, keep objects that the
    generator changed from counting.
    """
    height, width = level.one.shape
    rows, columns = _telling(level)
    if len(rows) < MIN_PIXELS // 8:
        return shift, scale
    half = max(width, height) / 2
    points = points_of(rows, columns)
    across, along = (columns - (width - 1) / 2) / half, (rows - (height - 1) / 2) / half
    planes = cv2.merge([level.two, *_slopes(level.two)])
    # Rows: what a step in x, y, zoom, gain and offset changes, and the value as it is.
    seen = np.empty((6, len(rows)))
    np.negative(level.one[rows, columns], out=seen[3])
    seen[4] = -1
    weighted, weight = np.empty((5, len(rows))), np.ones(len(rows))
    for round_number in range(_ROUNDS):
        looked_up = values_at(planes, points, _matrix(shift, scale, level))
        seen[5], seen[0], seen[1] = looked_up.T
        np.add(seen[0] * across, seen[1] * along, out=seen[2])
        np.multiply(seen[:5], weight, out=weighted)
        sums = weighted @ seen.T
        change = -_well_determined(sums[:, :5], sums[:, 5])
        shift, scale = shift + change[:2], scale + change[2] / half
        if round_number and np.abs(change[:3]).max() < tolerance_px:
            break
        weight = huber(np.append(change, 1) @ seen, least=0.5)
    return shift, scale


def _slopes(picture: Floats) -> tuple[Floats, Floats]:
    """Change per pixel to the right and down."""
    across = cv2.Sobel(picture, cv2.CV_32F, 1, 0, scale=1 / 8)
    along = cv2.Sobel(picture, cv2.CV_32F, 0, 1, scale=1 / 8)
    return np.asarray(across, np.float32), np.asarray(along, np.float32)


def _telling(level: _Level) -> tuple[Integers, Integers]:
    """The ring's pixels that say most about motion: those with the steepest surroundings."""
    places = np.flatnonzero(level.weight > 0.5)
    if len(places) > _SAMPLES:
        steepness = cv2.magnitude(*_slopes(level.one)).ravel()[places]
        count = min(len(places), _SPREAD * _SAMPLES)
        steepest = places[steepness >= np.partition(steepness, -count)[-count]]
        places = steepest[:: max(1, len(steepest) // _SAMPLES)]
    rows, columns = np.divmod(places, level.one.shape[1])
    return rows, columns


def _well_determined(left: Doubles, right: Doubles) -> Doubles:
    """Solve left x = right, leaving out what the pixels say nothing of: motion along an edge.

    Where anything is left out there is no zoom either: a lone edge cannot tell it from a shift.
    """
    solution, is_whole = _truncated(left, right)
    if is_whole:
        return solution
    others = [0, 1, 3, 4]
    solution = np.zeros_like(right)
    solution[others], _ = _truncated(left[np.ix_(others, others)], right[others])
    return solution


def _truncated(left: Doubles, right: Doubles) -> tuple[Doubles, bool]:
    """Solve without the directions that are not determined, and whether there were none."""
    motions = len(left) - 2
    units = left.diagonal().copy()
    units[:motions] = units[:motions].max()
    units = np.sqrt(units + 1e-9)
    values, vectors = np.linalg.eigh(left / units / units[:, None])  # from the smallest value on
    least = _UNDETERMINED * values[-1]
    parts = (right / units) @ vectors
    if is_whole := bool(values[0] > least):
        parts /= values
    else:
        kept = values > least
        parts = np.where(kept, parts, 0) / np.where(kept, values, 1)
    return np.asarray(vectors @ parts / units), is_whole


def _matrix(shift: Doubles, scale: float, level: _Level) -> Doubles:
    height, width = level.one.shape
    return matrix_of((float(shift[0]), float(shift[1])), float(scale), (width, height))


def _correlation(one: Floats, two: Floats) -> float:
    """Pearson's, without the tenth of the values that differ most: there the edit looks out."""
    if len(one) < 2:
        return 0.0
    a, b = _standardised(one), _standardised(two)
    differences = np.abs(a - b)
    tenth = len(differences) // 10
    kept = differences <= np.partition(differences, -tenth - 1)[-tenth - 1]
    a, b = _standardised(a[kept]), _standardised(b[kept])
    return float(a @ b) / len(a)


def _standardised(values: Floats | Doubles) -> Doubles:
    if not len(values):
        return np.zeros(0)
    centred = values - values.mean(dtype=np.float64)
    deviation = math.sqrt(centred @ centred / len(centred))
    return np.asarray(centred / deviation if deviation else centred)
