"""A click on a picture: the pictures, and what a run of clicks measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from skimage import data

from preprocessing.arrays import Image
from preprocessing.codec import encode_jpeg

PICTURES = ("astronaut", "coffee")
TIMEOUT_S = 30.0


@dataclass(frozen=True)
class ClickRun:
    """Clicks of one client, in the order of its pictures."""

    latencies_s: list[float]
    wall_s: float
    client_processor_s: float
    masks: list[str]
    """SHA-256 of each mask's PNG; empty for calls that answer no mask."""


def photograph(name: str, side: int) -> Image:
    """One of scikit-image's photographs, scaled to `side` x `side`."""
    pixels = getattr(data, name)()
    return np.asarray(cv2.resize(pixels, (side, side), interpolation=cv2.INTER_CUBIC), np.uint8)


def new_pictures(pixels: Image, click: tuple[int, int]) -> Iterator[bytes]:
    """JPEGs that each differ from all others in one pixel, far from the click."""
    height, width = pixels.shape[:2]
    for index in range(height * width):
        y, x = divmod(index, width)
        if abs(x - click[0]) < width // 8 and abs(y - click[1]) < height // 8:
            continue
        changed = pixels.copy()
        changed[y, x] ^= 128
        yield encode_jpeg(changed)
