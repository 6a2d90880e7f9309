"""Masks as run lengths in COCO's compressed form, as pycocotools reads and writes them.

Runs go down the columns and begin with a (maybe empty) run outside the mask. Each is written as
the difference to the run two before it, in groups of 5 bits, lowest first: bit 5 says that
another group follows, the last group's bit 4 is the sign, and 48 is added to make it a character
(cocoapi, common/maskApi.c, rleToString).
"""

from __future__ import annotations

import numpy as np

from preprocessing.arrays import Integers, Mask
from preprocessing.errors import MaskRejectedError

_FIRST_CHARACTER, _GROUP_BITS, _MORE, _SIGN = 48, 5, 0x20, 0x10
_MAX_GROUPS = 7  # 35 bits: more than any picture has pixels


def encode_rle(mask: Mask) -> str:
    """Compressed counts of a mask (H, W).

    >>> encode_rle(np.eye(2, dtype=bool))
    '0120'
    """
    pixels = np.ravel(mask, order="F")
    edges = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    bounds = np.concatenate([[0], edges, [len(pixels)]])
    runs = np.diff(bounds)
    if len(pixels) and pixels[0]:
        runs = np.concatenate([[0], runs])
    return _to_text(runs)


def decode_rle(counts: str, shape_hw: tuple[int, int]) -> Mask:
    """The mask (H, W) of compressed counts; the inverse of `encode_rle`.

    Raises:
        MaskRejectedError: mask_unreadable, not such counts or not of this shape.
    """
    runs = _from_text(counts)
    height, width = shape_hw
    if (runs < 0).any() or runs.sum() != height * width:
        raise MaskRejectedError(
            "mask_unreadable",
            f"The runs of the mask must add up to {width} x {height} = {width * height} pixels; "
            f"they add up to {runs.sum()}.",
        )
    values = np.arange(len(runs)) % 2 == 1
    return np.ascontiguousarray(np.repeat(values, runs).reshape(width, height).T)


def _to_text(runs: Integers) -> str:
    differences = runs.copy()
    differences[3:] -= runs[1:-2]
    characters = bytearray()
    for value in differences.tolist():
        more = True
        while more:
            group = value & (_MORE - 1)
            value >>= _GROUP_BITS
            more = value != (-1 if group & _SIGN else 0)
            characters.append(_FIRST_CHARACTER + group + (_MORE if more else 0))
    return characters.decode("ascii")


def _from_text(counts: str) -> Integers:
    runs: list[int] = []
    value, groups = 0, 0
    for code in counts.encode("ascii", "replace"):
        group = code - _FIRST_CHARACTER
        if not 0 <= group < 2 * _MORE or groups == _MAX_GROUPS:
            raise MaskRejectedError(
                "mask_unreadable",
                f"Run lengths must be in COCO's compressed form; character {len(runs)} is not.",
            )
        value |= (group & (_MORE - 1)) << (_GROUP_BITS * groups)
        groups += 1
        if group & _MORE:
            continue
        if group & _SIGN:
            value -= 1 << (_GROUP_BITS * groups)
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value, groups = 0, 0
    if groups:
        raise MaskRejectedError("mask_unreadable", "The run lengths end within a number.")
    return np.asarray(runs, np.intp)
