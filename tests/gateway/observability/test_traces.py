"""Spans of one request, from HTTP into the job, at a collector."""

from __future__ import annotations

from pathlib import Path

from tests.gateway.conftest import Gateway, serve
from tests.gateway.observability.collector import collecting

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
CAT = {"task": "generate", "prompt": "a cat"}


async def test_the_job_is_part_of_the_callers_trace(tmp_path: Path) -> None:
    with collecting() as collector:
        async with serve(tmp_path, otlp_endpoint=collector.url) as gateway:
            headers = {**PARENT, "Prefer": "wait=20"}
            job = (await gateway.client.post("/v1/jobs", json=CAT, headers=headers)).json()
        spans = {span.name: span for span in collector.of_trace(TRACE)}
    request, ran = spans["POST /v1/jobs"], spans["job generate"]
    assert request.parent_id == "00f067aa0ba902b7"
    assert ran.parent_id == request.span_id
    assert {span.service for span in spans.values()} == {"retouch"}
    assert job["status"] == "succeeded"


async def test_without_a_collector_nothing_is_traced(gateway: Gateway) -> None:
    job = await gateway.finish(**CAT)
    assert "traceparent" not in job["metadata"]
