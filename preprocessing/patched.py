"""A picture of which a part is another one's, without a copy of the rest."""

from __future__ import annotations

from dataclasses import dataclass

from preprocessing.arrays import Image


@dataclass(frozen=True, eq=False)
class PatchedImage:
    """What an edit leaves: nearly all of a large photograph is the photograph's own memory."""

    original: Image
    """(H, W, 3) uint8; not written to."""
    patch: Image | None = None
    """(h, w, 3) uint8, all of it within the original; None for nothing."""
    corner: tuple[int, int] = (0, 0)
    """x and y of the patch in the original."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the whole: (H, W, 3)."""
        return self.original.shape

    def rows(self, wanted: slice) -> Image:
        """Some rows of the whole, not to be written to.

        >>> import numpy as np
        >>> grey = np.full((3, 2, 3), 9, np.uint8)
        >>> patched = PatchedImage(grey, np.zeros((1, 1, 3), np.uint8), (1, 2))
        >>> patched.rows(slice(1, 3))[..., 0].tolist()
        [[9, 9], [9, 0]]
        """
        first, end, _ = wanted.indices(len(self.original))
        rows = self.original[first:end]
        if self.patch is None:
            return rows
        height, width = self.patch.shape[:2]
        left, top = self.corner
        start, stop = max(first, top), min(end, top + height)
        if start >= stop:
            return rows
        rows = rows.copy()
        rows[start - first : stop - first, left : left + width] = self.patch[
            start - top : stop - top
        ]
        return rows

    def whole(self) -> Image:
        """All rows."""
        return self.rows(slice(None))
