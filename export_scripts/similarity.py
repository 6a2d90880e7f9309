"""How far two pictures are from each other."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
_SIGMA, _WINDOW = 1.5, (11, 11)
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


@dataclass(frozen=True)
class Similarity:
    """Differences in grey levels, PSNR in dB (infinite when equal), SSIM up to 1."""

    max_difference: int
    mean_difference: float
    psnr_db: float
    ssim: float


def compare(a: Image, b: Image) -> Similarity:
    """Compare two RGB pictures of the same size.

    Raises:
        ValueError: the sizes differ.

    >>> compare(np.zeros((16, 16, 3), np.uint8), np.zeros((16, 16, 3), np.uint8)).max_difference
    0
    """
    if a.shape != b.shape:
        raise ValueError(f"pictures of one size are compared, got {a.shape} and {b.shape}")
    difference = np.abs(a.astype(np.float64) - b.astype(np.float64))
    mean_square = float((difference**2).mean())
    psnr = float("inf") if mean_square == 0 else 10 * np.log10(255**2 / mean_square)
    return Similarity(int(difference.max()), float(difference.mean()), float(psnr), ssim(a, b))


def ssim(a: Image, b: Image) -> float:
    """Structural similarity after Wang et al. 2004: Gaussian window of 11, sigma 1.5.

    Both sides must be longer than the window.
    """
    x, y = a.astype(np.float64), b.astype(np.float64)
    mean_x, mean_y = _blur(x), _blur(y)
    variance_x = _blur(x * x) - mean_x**2
    variance_y = _blur(y * y) - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    numerator = (2 * mean_x * mean_y + _C1) * (2 * covariance + _C2)
    denominator = (mean_x**2 + mean_y**2 + _C1) * (variance_x + variance_y + _C2)
    margin = _WINDOW[0] // 2  # where the window reaches over the edge, nothing is said
    inner = (numerator / denominator)[margin:-margin, margin:-margin]
    return float(inner.mean())


def _blur(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(cv2.GaussianBlur(values, _WINDOW, _SIGMA), np.float64)
