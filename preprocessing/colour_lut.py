"""Colour transforms as 3D tables: made, fitted to an example, applied, written as `.cube`.

A table knows colours, not places: whatever proposed it, it cannot touch a photograph's detail.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations_with_replacement

import cv2
import numpy as np
import PyOpenColorIO as Ocio

from preprocessing.arrays import Doubles, Floats, Samples
from preprocessing.robust import huber

SIDE = 33
"""Grid points per axis; what grading tools exchange. 17 shows in dark gradients."""
_DEGREE = 3
_PRIOR = 0.02
"""Weight of all grid colours together against the example's pixels: where the example has no such
colour the table follows its straight part instead of a cubic gone wild."""
_ROUNDS = 6


@dataclass(frozen=True, eq=False)
class ColourLut:
    """A table from RGB to RGB over the unit cube."""

    table: Floats
    """(N, N, N, 3) by red, green and blue, values 0 to 1."""

    @property
    def side(self) -> int:
        """Grid points per axis."""
        return self.table.shape[0]


def lut_of(transform: Callable[[Doubles], Doubles], side: int = SIDE) -> ColourLut:
    """Sample a transform of RGB values (N, 3), 0 to 1, on the grid; results are clipped to it.

    >>> lut_of(lambda rgb: rgb * 0.5, side=3).table[2, 1, 0].tolist()
    [0.5, 0.25, 0.0]
    """
    table = np.clip(transform(_grid(side)), 0, 1).reshape(side, side, side, 3)
    return ColourLut(table.astype(np.float32))


def fit_lut(source: Doubles, target: Doubles, side: int = SIDE) -> ColourLut:
    """The smooth transform that turns one picture's colours into another's.

    A linear part, then a cubic polynomial on what it leaves; least squares, weighted after Huber,
    so that a minority of pixels that show something else does not count. Black stays black.

    Args:
        source: (N, 3) RGB, 0 to 1, at least 64 of them.
        target: (N, 3) RGB, 0 to 1, of the same places.
        side: grid points per axis.
    """
    grid = _grid(side)
    straight = _fit(_powers(source, 1), target, _powers(grid, 1), prior=0.0)
    left = target - _powers(source, 1) @ straight
    curved = _fit(_powers(source, _DEGREE), left, _powers(_grid(7), _DEGREE), prior=_PRIOR)
    values = _powers(grid, 1) @ straight + _powers(grid, _DEGREE) @ curved
    table = np.clip(values, 0, 1).reshape(side, side, side, 3)
    return ColourLut(table.astype(np.float32))


def apply_lut(lut: ColourLut, pixels: Samples) -> Samples:
    """Transform every pixel, interpolating in tetrahedra, at the pixels' depth.

    Args:
        lut: the table.
        pixels: (H, W, 3) uint8 or uint16.

    >>> grey = np.full((1, 1, 3), 1000, np.uint16)
    >>> apply_lut(lut_of(lambda rgb: rgb), grey)[0, 0].tolist()
    [1000, 1000, 1000]
    """
    return transform_of(lut, pixels.dtype)(pixels)


def transform_of(lut: ColourLut, dtype: np.dtype[np.generic]) -> Callable[[Samples], Samples]:
    """`apply_lut` made ready for many pictures, or many parts of one, of one depth.

    It may be called from several threads at once.
    """
    curves = _curves(lut)
    if curves is None:
        return _in_tetrahedra(lut, dtype)
    top = int(np.iinfo(dtype).max)  # type: ignore[type-var]
    levels = np.linspace(0, lut.side - 1, top + 1)
    table = np.stack([np.interp(levels, np.arange(lut.side), curve) for curve in curves], -1)
    return _by_channel(np.rint(table * top).astype(dtype))


def _curves(lut: ColourLut) -> Floats | None:
    """A curve per channel, (3, N), that is all the table says; None where channels mix.

    On such a table interpolation in tetrahedra is interpolation along each axis: the weights of
    the corners with one red add up to red's share.
    """
    table = lut.table
    curves = np.stack([table[:, 0, 0, 0], table[0, :, 0, 1], table[0, 0, :, 2]])
    red, green, blue = curves
    is_all = (
        (table[..., 0] == red[:, None, None]).all()
        and (table[..., 1] == green[:, None]).all()
        and (table[..., 2] == blue).all()
    )
    return curves if is_all else None


def _by_channel(table: Samples) -> Callable[[Samples], Samples]:
    """Look every channel up in its column."""

    def apply(pixels: Samples) -> Samples:
        if pixels.dtype == np.uint8:
            return cv2.LUT(pixels, table[None])  # type: ignore[return-value]
        changed = np.empty_like(pixels)
        for channel in range(3):
            changed[..., channel] = table[:, channel].take(pixels[..., channel])
        return changed

    return apply


def _in_tetrahedra(lut: ColourLut, dtype: np.dtype[np.generic]) -> Callable[[Samples], Samples]:
    """OpenColorIO's, which is fast and knows every depth."""
    depth = Ocio.BIT_DEPTH_UINT8 if dtype == np.uint8 else Ocio.BIT_DEPTH_UINT16
    transform = Ocio.Lut3DTransform(lut.side)
    transform.setInterpolation(Ocio.INTERP_TETRAHEDRAL)
    transform.setData(np.ascontiguousarray(lut.table).ravel())
    processor = Ocio.Config.CreateRaw().getProcessor(transform)
    optimised = processor.getOptimizedCPUProcessor(depth, depth, Ocio.OPTIMIZATION_LOSSLESS)

    def apply(pixels: Samples) -> Samples:
        changed: Samples = pixels.copy(order="C")
        height, width = changed.shape[:2]
        size = changed.itemsize
        optimised.apply(
            Ocio.PackedImageDesc(changed, width, height, 3, depth, size, 3 * size, 3 * size * width)
        )
        return changed

    return apply


def to_cube(lut: ColourLut, title: str) -> str:
    """The table as a `.cube` file (Adobe Cube LUT specification 1.0): red runs fastest.

    >>> print(to_cube(lut_of(lambda rgb: rgb, side=2), "same")[:53])
    TITLE "same"
    LUT_3D_SIZE 2
    0.000000 0.000000 0.000000
    """
    rows = lut.table.transpose(2, 1, 0, 3).reshape(-1, 3)
    lines = "\n".join(f"{red:.6f} {green:.6f} {blue:.6f}" for red, green, blue in rows.tolist())
    return f'TITLE "{title}"\nLUT_3D_SIZE {lut.side}\n{lines}\n'


def _grid(side: int) -> Doubles:
    """Every grid colour, (side ** 3, 3), blue fastest."""
    axis = np.linspace(0, 1, side)
    return np.asarray(np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3))


def _powers(rgb: Doubles, degree: int) -> Doubles:
    """All products of one to `degree` channels, (N, terms); no constant: black stays black."""
    chosen = (
        list(channels)
        for size in range(1, degree + 1)
        for channels in combinations_with_replacement(range(3), size)
    )
    return np.stack([np.prod(rgb[:, channels], axis=1) for channels in chosen], 1)


def _fit(terms: Doubles, target: Doubles, grid_terms: Doubles, *, prior: float) -> Doubles:
    """Coefficients (terms, 3): terms @ c = target, and grid_terms @ c = 0 with weight `prior`."""
    pull = prior * len(terms) / len(grid_terms) * (grid_terms.T @ grid_terms)
    weight = np.ones(len(terms))
    coefficients = np.zeros((terms.shape[1], 3))
    for _ in range(_ROUNDS):
        weighted = terms * weight[:, None]
        left = weighted.T @ terms + pull + 1e-6 * np.eye(terms.shape[1])
        coefficients = np.linalg.solve(left, weighted.T @ target)
        weight = huber(np.abs(terms @ coefficients - target).max(axis=1), least=1 / 255)
    return coefficients
