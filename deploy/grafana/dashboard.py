"""The dashboard as code: `python deploy/grafana/dashboard.py` writes dashboards/retouch.json.

Every panel is a line in `ROWS`; a test holds each metric against what the real servers expose.
"""

import json
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parent / "dashboards" / "retouch.json"
DATASOURCE = {"type": "prometheus", "uid": "prometheus"}
WIDTH, HEIGHT, PANELS_PER_ROW = 8, 8, 3


def rate(metric: str, *, by: str = "model") -> str:
    """Per second, summed over everything but the labels `by`."""
    return f"sum by ({by}) (rate({metric}[$__rate_interval]))"


def quotient(metric: str, over: str, *, scale: str = "") -> str:
    """One counter's rate over another's, by model."""
    return f"{rate(metric)} / {rate(over)}{scale}"


def quantile(metric: str, *, by: str) -> str:
    """The 95th percentile of a histogram."""
    return f"histogram_quantile(0.95, {rate(f'{metric}_bucket', by=f'le, {by}')})"


HITS, MISSES = "retouch_stage_cache_hits_total", "retouch_stage_cache_misses_total"
INFERENCES, FAILURES = "nv_inference_request_success", "nv_inference_request_failure"
MODEL, GPU = "{{model}}", "{{instance}} {{gpu_uuid}}"

# Row: title, then panels of title, unit, and queries with their legends.
ROWS: list[tuple[str, list[tuple[str, str, dict[str, str]]]]] = [
    (
        "What people see",
        [
            (
                "Time of a request, 95th percentile",
                "s",
                {quantile("retouch_http_request_seconds", by="route"): "{{route}}"},
            ),
            (
                "Time of a job at work, 95th percentile",
                "s",
                {quantile("retouch_job_run_seconds", by="model"): MODEL},
            ),
            (
                "Time a job waits for a stage, per call",
                "s",
                {
                    f"{rate('retouch_job_stage_seconds_total', by='stage')}"
                    f" / {rate('retouch_job_stage_calls_total', by='stage')}": "{{stage}}"
                },
            ),
            (
                "Age of the oldest job",
                "s",
                {
                    "max(retouch_oldest_pending_job_age_seconds)": "not ended",
                    "max(retouch_oldest_queued_job_age_seconds)": "in line",
                },
            ),
            ("Jobs by state", "short", {"max by (status) (retouch_jobs)": "{{status}}"}),
            (
                "Share of masks on pictures that were known",
                "percentunit",
                {
                    'sum(rate(retouch_segmentation_cache_total{hit="true"}[$__rate_interval]))'
                    " / sum(rate(retouch_segmentation_cache_total[$__rate_interval]))": "known"
                },
            ),
            ("Models that answer", "short", {"min by (model) (retouch_model_ready)": MODEL}),
        ],
    ),
    (
        "Requests at Triton",
        [
            (
                "Time in the network, per request",
                "s",
                {
                    quotient(
                        "nv_inference_compute_infer_duration_us", INFERENCES, scale=" / 1e6"
                    ): MODEL
                },
            ),
            (
                "Time in line, per request",
                "s",
                {quotient("nv_inference_queue_duration_us", INFERENCES, scale=" / 1e6"): MODEL},
            ),
            (
                "Requests in line",
                "short",
                {"sum by (model) (nv_inference_pending_request_count)": MODEL},
            ),
        ],
    ),
    (
        "Batches and caches",
        [
            (
                "Rows per forward pass of a stage",
                "short",
                {quotient("retouch_stage_batch_size_sum", "retouch_stage_batch_size_count"): MODEL},
            ),
            (
                "Requests per batch at Triton",
                "short",
                {quotient("nv_inference_count", "nv_inference_exec_count"): MODEL},
            ),
            (
                "Share of stage requests answered from the cache",
                "percentunit",
                {f"{rate(HITS)} / ({rate(HITS)} + {rate(MISSES)})": MODEL},
            ),
        ],
    ),
    (
        "Machines",
        [
            (
                "Share of the time a stage is at work",
                "percentunit",
                {
                    rate(
                        "retouch_stage_seconds_total", by="instance, model"
                    ): "{{instance}} {{model}}"
                },
            ),
            ("GPU utilisation", "percentunit", {"nv_gpu_utilization": GPU}),
            (
                "GPU memory",
                "bytes",
                {
                    "nv_gpu_memory_used_bytes": f"{GPU} used",
                    "nv_gpu_memory_total_bytes": f"{GPU} total",
                },
            ),
            (
                "Failed requests a second",
                "short",
                {rate(FAILURES, by="model, reason"): "{{model}} {{reason}}"},
            ),
            ("Servers that answer", "short", {"sum by (job) (up)": "{{job}}"}),
        ],
    ),
]


def dashboard() -> dict[str, Any]:
    """What Grafana loads."""
    panels: list[dict[str, Any]] = []
    y = 0
    for title, row in ROWS:
        place = {"x": 0, "y": y, "w": WIDTH * PANELS_PER_ROW, "h": 1}
        panels.append({"type": "row", "title": title, "gridPos": place, "id": len(panels) + 1})
        y += 1
        for index, (name, unit, queries) in enumerate(row):
            down, across = divmod(index, PANELS_PER_ROW)
            place = {"x": across * WIDTH, "y": y + down * HEIGHT, "w": WIDTH, "h": HEIGHT}
            panels.append(_panel(name, unit, queries) | {"gridPos": place, "id": len(panels) + 1})
        y += -(-len(row) // PANELS_PER_ROW) * HEIGHT
    return {
        "uid": "retouch",
        "title": "Retouch",
        "schemaVersion": 39,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "panels": panels,
    }


def rendered() -> str:
    """The file's text."""
    return json.dumps(dashboard(), indent=1) + "\n"


def _panel(title: str, unit: str, queries: dict[str, str]) -> dict[str, Any]:
    targets = [
        {"refId": chr(65 + i), "expr": expr, "legendFormat": legend, "datasource": DATASOURCE}
        for i, (expr, legend) in enumerate(queries.items())
    ]
    return {
        "type": "timeseries",
        "title": title,
        "datasource": DATASOURCE,
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": targets,
    }


if __name__ == "__main__":
    TARGET.write_text(rendered())
