"""Fit a picture into the network's frame, and take the frame's coordinates back out."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from preprocessing.arrays import Floats, Image

PADDING = 114  # grey level that YOLO-family networks are trained with (ultralytics LetterBox)


@dataclass(frozen=True)
class Letterbox:
    """Where the picture lies in the frame that the network sees.

    The content's sides are whole pixels, so each axis has its own exact factor, content over image;
    `scale` is the common factor before rounding.
    """

    image_wh: tuple[int, int]
    size: int
    scale: float
    left: int
    top: int
    content_wh: tuple[int, int]
    frame_wh: tuple[int, int]
    """The square, or the smallest frame around the content whose sides the network takes."""

    def to_frame(self, xy: npt.ArrayLike) -> Floats:
        """Map image points (N, 2) to the frame, float32."""
        points = np.asarray(xy, np.float64) * self._factors() + (self.left, self.top)
        return points.astype(np.float32)

    def to_image(self, boxes_xyxy: npt.ArrayLike) -> Floats:
        """Map boxes (N, 4) of the frame to the image, clipped to it, float32."""
        corners = np.asarray(boxes_xyxy, np.float64).reshape(-1, 2, 2)
        inside = np.clip((corners - (self.left, self.top)) / self._factors(), 0, self.image_wh)
        return inside.reshape(-1, 4).astype(np.float32)

    def _factors(self) -> npt.NDArray[np.float64]:
        return np.divide(self.content_wh, self.image_wh, dtype=np.float64)


def plan_letterbox(image_wh: tuple[int, int], size: int, *, stride: int | None = None) -> Letterbox:
    """Keep the ratio, centre the picture, as ultralytics does (an odd pixel goes right or below).

    Args:
        image_wh: sides in pixels, at least 1.
        size: longer side of the content in pixels.
        stride: the frame is as small as multiples of it allow, so that a wide picture costs less
            than a square one (ultralytics' `rect`); None for a square.

    >>> plan_letterbox((1280, 720), 640).top
    140
    >>> plan_letterbox((1280, 720), 640, stride=32).frame_wh
    (640, 384)
    """
    width, height = image_wh
    scale = size / max(width, height)
    content = (max(1, round(width * scale)), max(1, round(height * scale)))
    step = stride or size
    frame = (-(-content[0] // step) * step, -(-content[1] // step) * step)
    left, top = (frame[0] - content[0]) // 2, (frame[1] - content[1]) // 2
    return Letterbox(image_wh, size, scale, left, top, content, frame)


def letterbox(image: Image, plan: Letterbox) -> Image:
    """Draw the picture into the grey frame, (h, w, 3) uint8.

    Bilinear, as in the network's training; but below half the size that would skip pixels
    (aliasing), so there each output pixel is the mean of the area it covers.

    Raises:
        ValueError: the picture has another size than the plan.
    """
    height, width = image.shape[:2]
    if (width, height) != plan.image_wh:
        raise ValueError(f"The plan is for {plan.image_wh}; the image is {width} x {height}.")
    method = cv2.INTER_AREA if plan.scale < 0.5 else cv2.INTER_LINEAR
    frame = np.full((plan.frame_wh[1], plan.frame_wh[0], 3), PADDING, np.uint8)
    content_width, content_height = plan.content_wh
    rows = slice(plan.top, plan.top + content_height)
    columns = slice(plan.left, plan.left + content_width)
    frame[rows, columns] = cv2.resize(image, plan.content_wh, interpolation=method)
    return frame
