"""Mask files to levels of editing: every encoding, one meaning.

A mask is read once, where it comes in; from then on white is what will be edited.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from preprocessing.arrays import Mask, Plane
from preprocessing.codec import decode_layers
from preprocessing.colour import over
from preprocessing.errors import MaskRejectedError
from preprocessing.image_header import DEFAULT_LIMITS, ImageLimits
from preprocessing.masks import binarise, bounding_box, coverage, require_usable, resize_levels

ASPECT_TOLERANCE = 0.01
"""A mask whose sides' ratio differs by more shows another picture, or a part of it."""


class MaskSemantics(StrEnum):
    """What in a mask file means edit."""

    WHITE = "white"
    """Bright: our own routes, diffusers, IOPaint. Transparent parts count as black."""
    BLACK = "black"
    """Dark. Transparent parts count as white."""
    TRANSPARENT = "transparent"
    """Alpha 0: OpenAI's routes. The colours do not count."""
    OPAQUE = "opaque"
    """Alpha 255: cut-outs. The colours do not count."""
    AUTO = "auto"
    """transparent where the alpha channel says anything, otherwise white."""


@dataclass(frozen=True, eq=False)
class MaskInput:
    """A mask as it was understood."""

    levels: Plane
    """(H, W), 255 = edit in full, 0 = leave; of the size of its picture."""
    polarity: MaskSemantics
    """How it was read; never `auto`."""
    coverage: float
    """Share of the picture at level 128 or more, 0 to 1."""
    box: tuple[int, int, int, int]
    """Tightest xyxy around those pixels, right and bottom exclusive."""
    warnings: tuple[str, ...]

    @property
    def is_soft(self) -> bool:
        """Whether there are levels besides 0 and 255."""
        return bool(((self.levels > 0) & (self.levels < 255)).any())

    @property
    def mask(self) -> Mask:
        """The levels from 128 on."""
        return binarise(self.levels)


def read_mask(
    data: bytes,
    size_wh: tuple[int, int],
    *,
    semantics: MaskSemantics = MaskSemantics.WHITE,
    limits: ImageLimits = DEFAULT_LIMITS,
) -> MaskInput:
    """Decode a mask for a picture of `size_wh`, upright.

    A mask of another size and the same shape is resized, and a warning says so.

    Args:
        data: a file of any format and colour mode that pictures may have.
        size_wh: upright size of the picture that the mask belongs to.
        semantics: what means edit.
        limits: as for pictures.

    Raises:
        ImageRejectedError: as `codec.decode_image`.
        MaskRejectedError: mask_size, mask_empty, mask_full, or mask_no_alpha for semantics that
            read an alpha channel where there is none.
    """
    grey, alpha, notes = decode_layers(data, limits)
    return understand(grey, size_wh, semantics=semantics, alpha=alpha, notes=notes)


def understand(
    grey: Plane,
    size_wh: tuple[int, int],
    *,
    semantics: MaskSemantics = MaskSemantics.WHITE,
    alpha: Plane | None = None,
    notes: tuple[str, ...] = (),
) -> MaskInput:
    """`read_mask` of a file's layers, as `codec.decode_layers` gives them.

    Raises:
        MaskRejectedError: as `read_mask`.
    """
    polarity = _resolve(semantics, alpha)
    levels = _levels(grey, alpha, polarity)
    levels, resize_notes = _fit(levels, size_wh)
    mask = binarise(levels)
    require_usable(mask)
    return MaskInput(
        levels=levels,
        polarity=polarity,
        coverage=coverage(mask),
        box=bounding_box(mask) or (0, 0, 0, 0),
        warnings=notes + resize_notes,
    )


def _resolve(semantics: MaskSemantics, alpha: Plane | None) -> MaskSemantics:
    if semantics is not MaskSemantics.AUTO:
        return semantics
    says_something = alpha is not None and bool(alpha.min() < 255 and alpha.max() > 0)
    return MaskSemantics.TRANSPARENT if says_something else MaskSemantics.WHITE


def _levels(grey: Plane, alpha: Plane | None, polarity: MaskSemantics) -> Plane:
    if polarity is MaskSemantics.WHITE:
        return grey if alpha is None else over(grey, alpha, 0)
    if polarity is MaskSemantics.BLACK:
        return ~grey if alpha is None else ~over(grey, alpha, 255)
    if alpha is None:
        raise MaskRejectedError(
            "mask_no_alpha",
            f"With mask_semantics {polarity} the mask must have an alpha channel; it has none.",
        )
    return alpha if polarity is MaskSemantics.OPAQUE else ~alpha


def _fit(levels: Plane, size_wh: tuple[int, int]) -> tuple[Plane, tuple[str, ...]]:
    height, width = levels.shape
    if (width, height) == size_wh:
        return levels, ()
    if abs(width * size_wh[1] / (height * size_wh[0]) - 1) > ASPECT_TOLERANCE:
        raise MaskRejectedError(
            "mask_size",
            f"The mask must be as large as its image, {size_wh[0]} x {size_wh[1]}, or of its "
            f"shape; it is {width} x {height}.",
        )
    note = f"The mask was resized from {width} x {height} to {size_wh[0]} x {size_wh[1]}."
    return resize_levels(levels, size_wh), (note,)
