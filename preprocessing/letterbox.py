"""Fit a picture into the network's square, and take the square's coordinates back out."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from preprocessing.arrays import Floats, Image

PADDING = 114  # grey level that YOLO-family networks are trained with (ultralytics LetterBox)


@dataclass(frozen=True)
class Letterbox:
    """Where the picture lies in the square.

    The content's sides are whole pixels, so each axis has its own exact factor, content over image;
    `scale` is the common factor before rounding.
    """

    image_wh: tuple[int, int]
    size: int
    scale: float
    left: int
    top: int
    content_wh: tuple[int, int]

    def to_square(self, xy: npt.ArrayLike) -> Floats:
        """Map image points (N, 2) to the square, float32."""
        points = np.asarray(xy, np.float64) * self._factors() + (self.left, self.top)
        return points.astype(np.float32)

    def to_image(self, boxes_xyxy: npt.ArrayLike) -> Floats:
        """Map boxes (N, 4) of the square to the image, clipped to it, float32."""
        corners = np.asarray(boxes_xyxy, np.float64).reshape(-1, 2, 2)
        inside = np.clip((corners - (self.left, self.top)) / self._factors(), 0, self.image_wh)
        return inside.reshape(-1, 4).astype(np.float32)

    def _factors(self) -> npt.NDArray[np.float64]:
        return np.divide(self.content_wh, self.image_wh, dtype=np.float64)


def plan_letterbox(image_wh: tuple[int, int], size: int) -> Letterbox:
    """Keep the ratio, centre the picture, as ultralytics does (an odd pixel goes right or below).

    Args:
        image_wh: sides in pixels, at least 1.
        size: side of the square in pixels.

    >>> plan_letterbox((1280, 720), 640)
    Letterbox(image_wh=(1280, 720), size=640, scale=0.5, left=0, top=140, content_wh=(640, 360))
    """
    width, height = image_wh
    scale = size / max(width, height)
    content = (max(1, round(width * scale)), max(1, round(height * scale)))
    left, top = (size - content[0]) // 2, (size - content[1]) // 2
    return Letterbox(image_wh, size, scale, left, top, content)


def letterbox(image: Image, plan: Letterbox) -> Image:
    """Draw the picture into the grey square, (size, size, 3) uint8.

    Bilinear, as in the network's training; but below half the size that would skip pixels
    (aliasing), so there each output pixel is the mean of the area it covers.

    Raises:
        ValueError: the picture has another size than the plan.
    """
    height, width = image.shape[:2]
    if (width, height) != plan.image_wh:
        raise ValueError(f"The plan is for {plan.image_wh}; the image is {width} x {height}.")
    method = cv2.INTER_AREA if plan.scale < 0.5 else cv2.INTER_LINEAR
    square = np.full((plan.size, plan.size, 3), PADDING, np.uint8)
    content_width, content_height = plan.content_wh
    rows = slice(plan.top, plan.top + content_height)
    columns = slice(plan.left, plan.left + content_width)
    square[rows, columns] = cv2.resize(image, plan.content_wh, interpolation=method)
    return square
