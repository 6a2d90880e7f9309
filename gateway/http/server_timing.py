"""Timings of a job as the header `Server-Timing`, which browsers show."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.jobs.job import Job

_NAMES = {
    "text_encoder": "text",
    "vae_encoder": "condition",
    "transformer": "denoise",
    "vae_decoder": "decode",
}


def timing_headers(job: Job) -> dict[str, str]:
    """The header of a job that has timings; none for one that has not.

    Durations are milliseconds; a stage that knew the answers says so:
    `text;dur=1.2;desc="cached", denoise;dur=730.4;desc="8 calls"`.
    """
    if not job.timings:
        return {}
    stages: Mapping[str, Mapping[str, float]] = job.timings.get("stages", {})
    entries = [_entry(_NAMES.get(name, name), figures) for name, figures in stages.items()]
    total = f"total;dur={1000 * job.timings['inference_s']:.1f}"
    return {"Server-Timing": ", ".join([*entries, total])}


def _entry(name: str, figures: Mapping[str, float]) -> str:
    calls, cached = int(figures["calls"]), int(figures["cached"])
    if cached:
        description = "cached" if cached == calls else f"{cached} of {calls} cached"
    else:
        description = f"{calls} call{'' if calls == 1 else 's'}"
    return f'{name};dur={1000 * figures["seconds"]:.1f};desc="{description}"'
