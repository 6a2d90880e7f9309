"""What a stage model did, in Triton's own `/metrics`, labelled by model."""

from __future__ import annotations

from typing import Any

import triton_python_backend_utils as pb_utils

BATCH_SIZES = (1, 2, 4, 8, 16, 32)
"""Upper bounds of the histogram's buckets."""


class StageMetrics:
    """Metrics of one model; they count on when the model is loaded again.

    A change costs a message to the server, 30 to 90 microseconds [measured on 2 cores], so
    there are two of them per forward pass and not one per figure.
    """

    def __init__(self, model: str) -> None:
        self._families: list[Any] = []  # a family must outlive its metrics
        labels = {"model": model}
        self._batch_size = self._metric(
            "retouch_stage_batch_size",
            "Rows of a forward pass: _sum rows in _count passes",
            "HISTOGRAM",
            labels,
        )
        self._seconds = self._metric(
            "retouch_stage_seconds_total", "Time in forward passes", "COUNTER", labels
        )
        self._hits = self._metric(
            "retouch_stage_cache_hits_total",
            "Requests answered without a forward pass of their own",
            "COUNTER",
            labels,
        )
        self._misses = self._metric(
            "retouch_stage_cache_misses_total",
            "Requests that the cache did not know",
            "COUNTER",
            labels,
        )

    def ran(self, *, rows: int, seconds: float) -> None:
        """A forward pass has ended."""
        if self._batch_size is not None:
            self._batch_size.observe(rows)
            self._seconds.increment(seconds)

    def looked_up(self, *, hits: int, misses: int) -> None:
        """A batch has been looked up in the cache."""
        for metric, count in ((self._hits, hits), (self._misses, misses)):
            if count and metric is not None:
                metric.increment(count)

    def _metric(self, name: str, description: str, kind: str, labels: dict[str, str]) -> Any:
        """None where the module has no metrics, which is so in tests alone."""
        family_of = getattr(pb_utils, "MetricFamily", None)
        if family_of is None:
            return None
        family = family_of(name=name, description=description, kind=getattr(family_of, kind))
        self._families.append(family)
        if kind == "HISTOGRAM":
            return family.Metric(labels=labels, buckets=list(BATCH_SIZES))
        return family.Metric(labels=labels)
