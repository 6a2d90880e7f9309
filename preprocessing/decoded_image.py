"""What a picture file becomes: pixels ready for work, and what the file said of them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from preprocessing.arrays import Image, Plane
from preprocessing.image_header import ImageHeader


@dataclass(frozen=True, eq=False)
class DecodedImage:
    """A picture ready for work."""

    pixels: Image
    """Upright sRGB; transparent parts composited on white."""
    alpha: Plane | None
    """255 = opaque; None where the file has no alpha channel."""
    header: ImageHeader
    warnings: tuple[str, ...]
    """Sentences on what was left out or changed."""
    grey: Plane | None = None
    """Of a PNG of grey levels alone: they, as `decode_layers` gives them."""

    @property
    def width(self) -> int:
        """Pixels per row, upright."""
        return self.pixels.shape[1]

    @property
    def height(self) -> int:
        """Rows, upright."""
        return self.pixels.shape[0]

    @property
    def nbytes(self) -> int:
        """What its pixels take."""
        return self.pixels.nbytes


@dataclass(frozen=True, eq=False)
class GreyImage:
    """A PNG of grey levels alone, as most masks are, whose colours nobody has asked for yet."""

    grey: Plane
    """Upright, as `decode_layers` gives them."""
    header: ImageHeader
    warnings: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """Pixels per row."""
        return self.grey.shape[1]

    @property
    def height(self) -> int:
        """Rows."""
        return self.grey.shape[0]

    @property
    def nbytes(self) -> int:
        """What its levels take."""
        return self.grey.nbytes

    def in_colours(self) -> DecodedImage:
        """The same as `decode_image` gives it."""
        pixels = np.asarray(cv2.cvtColor(self.grey, cv2.COLOR_GRAY2RGB), np.uint8)
        return DecodedImage(pixels, None, self.header, self.warnings, self.grey)
