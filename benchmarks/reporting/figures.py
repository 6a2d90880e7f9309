"""Arithmetic over rounds: percentiles, ratios within a round, medians with their spread."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """The median of some rounds, with the lowest and the highest."""

    median: float
    low: float
    high: float

    def show(self, digits: int = 2) -> str:
        """Such as "1.10 (1.05 to 1.20)"."""
        return f"{self.median:.{digits}f} ({self.low:.{digits}f} to {self.high:.{digits}f})"


def spread(values: Sequence[float]) -> Spread:
    """Median, lowest and highest of at least one value."""
    return Spread(statistics.median(values), min(values), max(values))


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile: the smallest value that `percent` of all do not exceed."""
    rank = math.ceil(len(values) * percent / 100)
    return sorted(values)[max(rank, 1) - 1]


def ratios(values: Sequence[float], bases: Sequence[float]) -> Spread:
    """Each round's value over the same round's base.

    Raises:
        ValueError: a round is missing on one side.
    """
    return spread([value / base for value, base in zip(values, bases, strict=True)])


def share_of_serial(walls: Sequence[float], singles: Sequence[float], jobs: int) -> Spread:
    """Time of `jobs` concurrent jobs over the time of as many one after the other."""
    return ratios(walls, [single * jobs for single in singles])


def mean_batch(inferences: int, executions: int) -> float:
    """Requests per forward pass; 0 where nothing ran."""
    return inferences / executions if executions else 0.0
