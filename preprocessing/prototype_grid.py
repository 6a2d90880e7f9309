"""How pixels of the picture lie between the prototypes' cells.

In two bilinear steps, as ultralytics' `process_mask_native`: first to a grid on which the padding
is whole samples, then from the content's samples to pixels; edges are repeated. Unlike there, cells
with their centre in the padding are never read: they would eat into masks at the picture's edge.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from preprocessing.arrays import Floats, Integers
from preprocessing.letterbox import Letterbox

Array = npt.NDArray[np.float64]
_BLOCK = 64
"""Pixels that are interpolated by one matrix: few cells lie under them, so it is nearly full."""
_MAX_KNOWN = 64


@dataclass(frozen=True, eq=False)
class PixelAxis:
    """One axis of a picture: each pixel's centre is a weighted mean of some cells."""

    cells: Integers
    """(P, T) per pixel of the picture: T is 2 where the padding is whole cells, else 4."""
    shares: Floats
    """(P, T) what each of them counts."""
    blocks: Floats
    """(P / 64, 64, K): the same for 64 pixels at a time, over K cells from `first` on."""
    first: Integers
    """(P / 64,) the lowest cell of each block."""

    def enlarge(self, cells: Floats, low: int, pixels: range) -> Floats:
        """Rows (len(pixels), n) between rows of cells (c, n); the first of these is cell `low`."""
        enlarged = np.empty((len(pixels), cells.shape[1]), np.float32)
        done = 0
        while done < len(pixels):
            block, inside = divmod(pixels[done], _BLOCK)
            shares = self.blocks[block, inside : inside + pixels.stop - pixels[done] : pixels.step]
            cell = int(self.first[block]) - low
            start, stop = max(0, -cell), min(shares.shape[1], len(cells) - cell)
            part = enlarged[done : done + len(shares)]
            np.matmul(shares[:, start:stop], cells[cell + start : cell + stop], out=part)
            done += len(shares)
        return enlarged

    def under(self, pixels: range) -> slice:
        """The cells that these pixels are made of."""
        last = pixels[-1]
        return slice(int(self.cells[pixels[0], 0]), int(self.cells[last].max()) + 1)


@lru_cache(_MAX_KNOWN)
def pixel_axis(plan: Letterbox, count: int, axis: int) -> PixelAxis:
    """How a picture's pixels lie between `count` cells; axis 0 is across, 1 is down."""
    pixels = plan.image_wh[axis]
    cells, shares = _taps(plan, count, axis)
    number, inside = np.divmod(np.arange(pixels), _BLOCK)
    first = np.minimum.reduceat(cells.min(1), np.arange(0, pixels, _BLOCK))
    width = int((cells - first[number, None]).max()) + 1
    blocks = np.zeros((len(first), _BLOCK, width), np.float32)
    for tap in range(cells.shape[1]):
        blocks[number, inside, cells[:, tap] - first[number]] += shares[:, tap]
    return PixelAxis(cells, shares, blocks, first)


def _taps(plan: Letterbox, count: int, axis: int) -> tuple[Integers, Floats]:
    cell = plan.frame_wh[axis] / count
    start, content = (plan.left, plan.top)[axis] / cell, plan.content_wh[axis] / cell
    first = np.ceil(start - 0.5)
    last = min(max(first, np.floor(start + content - 0.5)), count - 1)
    finer = _samples_per_cell(plan, cell)
    pixels = np.arange(plan.image_wh[axis])
    position = (pixels + 0.5) * (content * finer / plan.image_wh[axis]) - 0.5
    if finer == 1:
        cells, share = _between(position + start, first, last)
        return _pairs(cells, count), _shares(share)
    end = max(0.0, content * finer - 1)
    sample, share = _between(position, 0, end)
    both = np.stack([sample, np.minimum(sample + 1, end)], 1)
    cells, part = _between((both + 0.5) / finer + start - 0.5, first, last)
    shares = _shares(part) * _shares(share)[..., None]
    return _pairs(cells, count).reshape(-1, 4), shares.reshape(-1, 4)


def _pairs(cells: Array, count: int) -> Integers:
    """Each cell and the next one, of `count`."""
    before = cells.astype(np.intp)
    return np.stack([before, np.minimum(before + 1, count - 1)], -1)


def _shares(part: Array) -> Floats:
    """What the cell and the next one count."""
    return np.asarray(np.stack([1 - part, part], -1), np.float32)


def _between(position: Array, low: float, high: float) -> tuple[Array, Array]:
    """The whole number at or before each position within the bounds, and what is left of it."""
    inside = np.clip(position, low, high)
    before = np.floor(inside)
    return before, inside - before


def _samples_per_cell(plan: Letterbox, cell: float) -> int:
    """1, 2 or 4: the smallest grid on which the padding of both axes is whole samples."""
    pixels = round(cell)
    padding = 0
    for frame, content in zip(plan.frame_wh, plan.content_wh, strict=True):
        padding |= (frame - content) | ((frame - content) // 2)
    return pixels // math.gcd(pixels, padding)
