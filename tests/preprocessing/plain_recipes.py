"""The condition recipes once more, in plain NumPy and from their definitions; for comparison."""

from __future__ import annotations

import numpy as np
from scipy import ndimage


def shadow(mask: np.ndarray) -> np.ndarray:
    """The object 3 right and 5 down, from 0 at its top row to 255 at its bottom row."""
    rows = np.flatnonzero(mask.any(axis=1))
    levels = np.zeros(mask.shape)
    for y, x in np.argwhere(mask):
        if y + 5 < mask.shape[0] and x + 3 < mask.shape[1]:
            levels[y + 5, x + 3] = np.floor(255 * (y - rows[0]) / max(1, rows[-1] - rows[0]))
    return levels


def blurred(levels: np.ndarray) -> np.ndarray:
    """21 taps of a Gaussian whose sigma is 0.3 ((21 - 1) / 2 - 1) + 0.8, mirrored at the edges."""
    taps = np.exp(-(np.arange(-10, 11) ** 2) / (2 * 3.5**2))
    taps /= taps.sum()
    padded = np.pad(levels, 10, mode="reflect")
    rows = sum(t * padded[:, i : i + levels.shape[1]] for i, t in enumerate(taps))
    return sum(t * rows[i : i + levels.shape[0]] for i, t in enumerate(taps))


def shadowed(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    darkening = 0.4 * blurred(shadow(mask)) / 255 * ~mask
    return image * (1 - darkening[..., None])


def expanded(mask: np.ndarray) -> np.ndarray:
    """The highest level of object or shadow within an ellipse of 7 x 7."""
    either = np.where(mask, 255, shadow(mask))
    reach = {dy: round(3 * np.sqrt(1 - dy * dy / 9)) for dy in range(-3, 4)}
    padded = np.pad(either, 3)
    height, width = mask.shape
    return np.max(
        [
            padded[3 + dy : 3 + dy + height, 3 + dx : 3 + dx + width]
            for dy, across in reach.items()
            for dx in range(-across, across + 1)
        ],
        axis=0,
    )


def hidden(image: np.ndarray, levels: np.ndarray) -> np.ndarray:
    return image * (1 - levels[..., None] / 255)


def canny(image: np.ndarray) -> np.ndarray:
    """Sobel, |dx| + |dy|, thinned along the gradient, linked from 1.33 down to 0.67 of the median.

    Canny 1986 with the sectors of 22.5 degrees and the ties that OpenCV chooses.
    """
    weights = np.array([0.299, 0.587, 0.114])
    grey = np.rint(image @ weights)
    low, high = np.floor(0.67 * np.median(grey)), np.floor(min(255, 1.33 * np.median(grey)))
    p = np.pad(grey, 1, mode="edge")
    dx = (p[:-2, 2:] + 2 * p[1:-1, 2:] + p[2:, 2:]) - (p[:-2, :-2] + 2 * p[1:-1, :-2] + p[2:, :-2])
    dy = (p[2:, :-2] + 2 * p[2:, 1:-1] + p[2:, 2:]) - (p[:-2, :-2] + 2 * p[:-2, 1:-1] + p[:-2, 2:])
    size = np.abs(dx) + np.abs(dy)
    m = np.pad(size, 1)
    slope = np.tan(np.pi / 8)
    across = np.abs(dy) < slope * np.abs(dx)
    along = np.abs(dy) > (slope + 2) * np.abs(dx)
    left, right, above, below = m[1:-1, :-2], m[1:-1, 2:], m[:-2, 1:-1], m[2:, 1:-1]
    falling = (dx < 0) != (dy < 0)
    first = np.where(falling, m[:-2, 2:], m[:-2, :-2])
    second = np.where(falling, m[2:, :-2], m[2:, 2:])
    thin = np.where(across, (size > left) & (size >= right), (size > first) & (size > second))
    thin = np.where(along, (size > above) & (size >= below), thin) & (size > low)
    parts, count = ndimage.label(thin, np.ones((3, 3)))
    strong = np.unique(parts[thin & (size > high)])
    return np.isin(parts, strong[strong > 0]) * 255.0 if count else np.zeros_like(grey)


def halved(picture: np.ndarray) -> np.ndarray:
    """Mean of every 2 x 2 block."""
    height, width = (side // 2 for side in picture.shape[:2])
    blocks = picture[: 2 * height, : 2 * width].reshape(height, 2, width, 2, -1)
    return blocks.mean(axis=(1, 3)).squeeze()
