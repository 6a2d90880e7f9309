"""How different two colours look: CIEDE2000."""

from __future__ import annotations

import cv2
import numpy as np

from preprocessing.arrays import Doubles, Floats, Image

_25_TO_7 = 25.0**7  # Sharma et al., equations 4 and 19


def lab(pixels: Image) -> Floats:
    """CIELAB under D65, L 0 to 100; pixels (H, W, 3) or (N, 3) uint8 sRGB (IEC 61966-2-1).

    >>> lab(np.uint8([[255, 255, 255]])).round(1).tolist()
    [[100.0, 0.0, 0.0]]
    """
    picture = pixels.reshape(1, -1, 3).astype(np.float32) / np.float32(255)
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2Lab), np.float32).reshape(pixels.shape)


def ciede2000(one: Floats, other: Floats) -> Doubles:
    """Colour difference of CIELAB values (..., 3); 1 is just noticeable side by side.

    Sharma, Wu, Dalal: The CIEDE2000 color-difference formula (Color Res. Appl. 30, 2005), with
    kL = kC = kH = 1; the names are the paper's.

    >>> float(ciede2000(np.float32([50, 2.6772, -79.7751]), np.float32([50, 0, -82.7485])).round(4))
    2.0425
    """
    first, second = one.astype(np.float64), other.astype(np.float64)
    mean_chroma = (_chroma(first) + _chroma(second)) / 2
    stretch = 1.5 - 0.5 * _seventh(mean_chroma)
    c1, h1 = _chroma_and_hue(first, stretch)
    c2, h2 = _chroma_and_hue(second, stretch)
    grey, far = c1 * c2 == 0, np.abs(h2 - h1) > 180
    dh = np.where(grey, 0.0, h2 - h1 - np.where(far, np.copysign(360, h2 - h1), 0))
    dl, dc = second[..., 0] - first[..., 0], c2 - c1
    d_hue = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(dh) / 2)
    mean_l, mean_c = (first[..., 0] + second[..., 0]) / 2, (c1 + c2) / 2
    mean_h = np.where(grey, h1 + h2, (h1 + h2 + np.where(far, 360, 0)) / 2)
    s_l = 1 + 0.015 * (mean_l - 50) ** 2 / np.sqrt(20 + (mean_l - 50) ** 2)
    s_c, s_h = 1 + 0.045 * mean_c, 1 + 0.015 * mean_c * _t(mean_h)
    theta = 30 * np.exp(-((((mean_h % 360) - 275) / 25) ** 2))
    rotation = -2 * _seventh(mean_c) * np.sin(np.radians(2 * theta))
    chroma, hue = dc / s_c, d_hue / s_h
    squared = (dl / s_l) ** 2 + chroma**2 + hue**2 + rotation * chroma * hue
    return np.asarray(np.sqrt(np.maximum(squared, 0)))


def _chroma(values: Doubles) -> Doubles:
    return np.hypot(values[..., 1], values[..., 2])


def _seventh(chroma: Doubles) -> Doubles:
    return np.sqrt(chroma**7 / (chroma**7 + _25_TO_7))


def _chroma_and_hue(values: Doubles, stretch: Doubles) -> tuple[Doubles, Doubles]:
    a = values[..., 1] * stretch
    return np.hypot(a, values[..., 2]), np.degrees(np.arctan2(values[..., 2], a)) % 360


def _t(hue: Doubles) -> Doubles:
    return np.asarray(
        1
        - 0.17 * np.cos(np.radians(hue - 30))
        + 0.24 * np.cos(np.radians(2 * hue))
        + 0.32 * np.cos(np.radians(3 * hue + 6))
        - 0.20 * np.cos(np.radians(4 * hue - 63))
    )
