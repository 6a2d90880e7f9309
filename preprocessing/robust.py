"""Weights for least squares that keep what is far off from counting."""

from __future__ import annotations

import numpy as np

from preprocessing.arrays import Doubles


def huber(residual: Doubles, *, least: float) -> Doubles:
    """Weights 0 to 1 after Huber, whose knee is at twice the median of what is left.

    Args:
        residual: (N,), N from 1, signed or not.
        least: the knee is nowhere below it; above 0.

    >>> huber(np.array([0.0, 1.0, -2.0, 16.0]), least=0.5).tolist()
    [1.0, 1.0, 1.0, 0.1875]
    """
    distance = np.abs(residual)
    knee = max(least, 2 * _median(distance))
    np.maximum(distance, knee, out=distance)
    return np.divide(knee, distance, out=distance)


def _median(values: Doubles) -> float:
    """As `np.median`, whose checks take longer than the finding in some thousand values."""
    upper = len(values) // 2
    lower = (len(values) - 1) // 2
    parted = np.partition(values, (lower, upper))
    return float(parted[lower] + parted[upper]) / 2
