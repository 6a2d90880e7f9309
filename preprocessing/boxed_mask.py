"""Masks that know where they can be: of a large picture most is outside, and never made."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from preprocessing.arrays import Mask, Plane


@dataclass(frozen=True, eq=False)
class BoxedMask:
    """A mask, soft or not, within a box of its picture; the rest of the picture is not in it."""

    levels: Mask | Plane
    """(h, w) bool or uint8, as large as the box."""
    box: tuple[int, int, int, int]
    """x0, y0, x1, y1 in pixels, right and bottom exclusive."""
    shape_hw: tuple[int, int]
    """Of the picture."""

    @classmethod
    def of(cls, levels: Mask | Plane) -> BoxedMask:
        """A mask (H, W) of the whole picture."""
        height, width = levels.shape
        return cls(levels, (0, 0, width, height), (height, width))

    def hardened(self) -> BoxedMask:
        """The same in bool, where all levels are 0 or 255."""
        if self.levels.dtype != np.bool_ and (self.levels + np.uint8(1) <= 1).all():
            return replace(self, levels=self.levels > 0)
        return self

    def spread(self) -> Mask | Plane:
        """The mask (H, W) of the whole picture; not to be written to."""
        if self.levels.shape == self.shape_hw:
            return self.levels
        x0, y0, x1, y1 = self.box
        whole: Mask | Plane
        if self.levels.dtype == np.bool_:
            whole = np.zeros(self.shape_hw, np.bool_)
        else:
            whole = np.zeros(self.shape_hw, np.uint8)
        whole[y0:y1, x0:x1] = self.levels
        return whole
