"""Operations on masks by name, one after the other, as requests list them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np

from preprocessing import masks
from preprocessing.arrays import Floats, Mask, Plane
from preprocessing.errors import MaskRejectedError

BORDER_LIMIT = 10
"""The border of a mask can be moved by so many pixels in or out."""


class OperationKind(StrEnum):
    """What is done to a mask; `value` of the operation is in brackets."""

    GROW = "grow"  # pixels
    SHRINK = "shrink"  # pixels
    BORDER_ADJUSTMENT = "border_adjustment"  # pixels, -10 to 10; below 0 shrinks
    FILL_HOLES = "fill_holes"  # largest hole in pixels; 0 = any
    ISLANDS = "islands"  # parts of fewer pixels go
    LARGEST = "largest"
    INVERT = "invert"
    FEATHER = "feather"  # pixels on each side of the edge
    BLUR = "blur"


SOFT = (OperationKind.FEATHER, OperationKind.BLUR)
"""Make levels between in and out; only `invert` may follow."""


@dataclass(frozen=True)
class Operation:
    """One step."""

    kind: OperationKind
    value: int = 0


def apply_operations(mask: Mask, operations: Sequence[Operation]) -> Mask | Plane:
    """The mask after all operations: bool (H, W), or levels uint8 (H, W) after a soft one.

    Raises:
        MaskRejectedError: ops_order, a hard operation comes after a soft one.

    >>> ring = np.pad(np.pad(np.zeros((1, 1), bool), 1, constant_values=True), 1)
    >>> int(apply_operations(ring, [Operation(OperationKind.FILL_HOLES)]).sum())
    9
    """
    levels: Plane | None = None
    for operation in operations:
        if levels is not None:
            levels = _after_soft(levels, operation)
        elif operation.kind in SOFT:
            levels = feather(mask, operation.value) if operation.value else blur(mask)
        else:
            mask = _HARD[operation.kind](mask, operation.value)
    return mask if levels is None else levels


def adjust_border(mask: Mask, px: int) -> Mask:
    """Grow by `px`, or shrink by -`px` below 0; raises ValueError beyond `BORDER_LIMIT`."""
    if abs(px) > BORDER_LIMIT:
        raise ValueError(f"The border moves by -{BORDER_LIMIT} to {BORDER_LIMIT}; got {px}.")
    return masks.grow(mask, px) if px >= 0 else masks.shrink(mask, -px)


def feather(mask: Mask, px: int) -> Plane:
    """Levels (H, W) uint8 that rise linearly from `px` outside the edge to `px` inside.

    Levels from 128 on are exactly the mask. The picture's own edge is no edge of the mask.
    """
    inside, outside = _depth(mask), _depth(~mask)
    signed = np.where(mask, inside - 0.5, 0.5 - outside)
    return np.asarray(np.clip(128 + signed * (127.5 / max(px, 1)), 0, 255), np.uint8)


def blur(mask: Mask) -> Plane:
    """Gaussian blur, levels (H, W) uint8; sigma is 0.75 % of the shorter side, at least 4 pixels.

    That is how wide the web front end's soft edges have always been.
    """
    sigma = max(4.0, 0.0075 * min(mask.shape))
    return np.asarray(cv2.GaussianBlur(mask.astype(np.uint8) * 255, (0, 0), sigma), np.uint8)


def _after_soft(levels: Plane, operation: Operation) -> Plane:
    if operation.kind is not OperationKind.INVERT:
        raise MaskRejectedError(
            "ops_order",
            f"After feather or blur only invert may come; it is followed by {operation.kind}.",
        )
    return np.asarray(255 - levels, np.uint8)


def _depth(mask: Mask) -> Floats:
    """Distance in pixels to the next pixel that is not in the mask."""
    if mask.all():
        return np.full(mask.shape, sum(mask.shape), np.float32)
    found = cv2.distanceTransform(mask.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.asarray(found, np.float32)


_HARD: dict[OperationKind, Callable[[Mask, int], Mask]] = {
    OperationKind.GROW: masks.grow,
    OperationKind.SHRINK: masks.shrink,
    OperationKind.BORDER_ADJUSTMENT: adjust_border,
    OperationKind.FILL_HOLES: lambda mask, value: masks.fill_holes(mask, value or None),
    OperationKind.ISLANDS: masks.remove_islands,
    OperationKind.LARGEST: lambda mask, _: masks.largest_component(mask),
    OperationKind.INVERT: lambda mask, _: masks.invert(mask),
}
