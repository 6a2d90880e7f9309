"""What the stages took of a job, by part."""

from __future__ import annotations

import threading
from dataclasses import dataclass


@dataclass
class _Part:
    seconds: float = 0.0
    calls: int = 0
    cached: int = 0


class StageTimings:
    """Sums of a job's calls; for the threads of that job."""

    def __init__(self) -> None:
        self._parts: dict[str, _Part] = {}
        self._lock = threading.Lock()
        """Guards the sums: the halves of a guided step end in two threads."""

    def called(self, part: str, *, seconds: float, cached: bool) -> None:
        """A call has been answered.

        Args:
            part: such as "transformer".
            seconds: from the request to the answer, its wait for a batch included.
            cached: whether the stage knew the answer.
        """
        with self._lock:
            entry = self._parts.setdefault(part, _Part())
            entry.seconds += seconds
            entry.calls += 1
            entry.cached += cached

    def report(self) -> dict[str, dict[str, float]]:
        """Seconds, calls and cached answers by part, in the order of the first calls.

        The two halves of a guided step wait at the same time, so their seconds overlap.
        """
        with self._lock:
            return {
                part: {
                    "seconds": round(entry.seconds, 6),
                    "calls": entry.calls,
                    "cached": entry.cached,
                }
                for part, entry in self._parts.items()
            }
