"""Prometheus metrics of one gateway."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.jobs.job import JobsPulse, JobStatus
from gateway.masks.feature_cache import FeatureCache
from gateway.model_catalog import ModelCatalog

_HTTP_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120)
_JOB_BUCKETS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 640)


class GatewayMetrics:
    """Counts what happens; each gateway has a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._state: _StateCollector | None = None
        self._requests = Counter(
            "retouch_http_requests",
            "Requests answered.",
            ("method", "route", "status"),
            registry=self.registry,
        )
        self._seconds = Histogram(
            "retouch_http_request_seconds",
            "From the first byte to the last of the answer; streams count as long as they last.",
            ("method", "route"),
            buckets=_HTTP_BUCKETS,
            registry=self.registry,
        )
        self._by_kind: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._jobs = Histogram(
            "retouch_job_run_seconds",
            "From a job's start to its end, by model and how it ended.",
            ("model", "outcome"),
            buckets=_JOB_BUCKETS,
            registry=self.registry,
        )
        self._stages = Counter(
            "retouch_job_stage_seconds",
            "Seconds that jobs waited for a stage of their model.",
            ("stage",),
            registry=self.registry,
        )
        self._stage_calls = Counter(
            "retouch_job_stage_calls",
            "Calls of a stage by jobs; cached ones were answered without the network.",
            ("stage", "cached"),
            registry=self.registry,
        )

    def request_done(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answer."""
        kind = (method, route, status)
        counters = self._by_kind.get(kind)
        if counters is None:  # to find them costs more than to count
            requests = self._requests.labels(method, route, str(status))
            counters = self._by_kind[kind] = requests, self._seconds.labels(method, route)
        counters[0].inc()
        counters[1].observe(seconds)

    def job_done(self, model: str, outcome: str, seconds: float) -> None:
        """Count a job that ran."""
        self._jobs.labels(model, outcome).observe(seconds)

    def stages_done(self, stages: Mapping[str, Mapping[str, float]]) -> None:
        """Count the stages of a job that succeeded."""
        for stage, figures in stages.items():
            self._stages.labels(stage).inc(figures["seconds"])
            self._stage_calls.labels(stage, "true").inc(figures["cached"])
            self._stage_calls.labels(stage, "false").inc(figures["calls"] - figures["cached"])

    def watch(self, catalog: ModelCatalog, cache: FeatureCache) -> None:
        """Read the state of these whenever metrics are asked for."""
        self._state = _StateCollector(catalog, cache)
        self.registry.register(self._state)

    def text(self, jobs: JobsPulse | None = None) -> bytes:
        """The exposition; without `jobs` what was last known of them."""
        if self._state is not None and jobs is not None:
            self._state.jobs = jobs
        return generate_latest(self.registry)


class _StateCollector(Collector):
    def __init__(self, catalog: ModelCatalog, cache: FeatureCache) -> None:
        self.jobs = JobsPulse()
        self._catalog = catalog
        self._cache = cache

    def describe(self) -> Iterable[Metric]:
        """Nothing in advance: registering must not ask for the state."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Jobs by state, age of the oldest that waits, models, cache."""
        by_status = {
            status.value: float(self.jobs.by_status.get(status, 0)) for status in JobStatus
        }
        yield _gauge("retouch_jobs", "Jobs known, by state.", "status", by_status)
        yield GaugeMetricFamily(
            "retouch_oldest_queued_job_age_seconds",
            "How long the oldest waiting job has waited; 0 when none waits.",
            value=self.jobs.oldest_queued_s,
        )
        yield GaugeMetricFamily(
            "retouch_oldest_pending_job_age_seconds",
            "Age of the oldest job that has not ended; 0 when there is none.",
            value=self.jobs.oldest_pending_s,
        )
        ready = {entry.name: float(entry.ready) for entry in self._catalog.models}
        yield _gauge("retouch_model_ready", "1: it answered its last canary.", "model", ready)
        hits = CounterMetricFamily(
            "retouch_segmentation_cache",
            "Masks asked for, by whether the picture was known.",
            labels=("hit",),
        )
        hits.add_metric(("true",), self._cache.hits)
        hits.add_metric(("false",), self._cache.misses)
        yield hits


def _gauge(name: str, words: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, words, labels=(label,))
    for key, value in values.items():
        family.add_metric((key,), value)
    return family
