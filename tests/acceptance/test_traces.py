"""One trace from the caller through the gateway's job into Triton's models."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.served import Served, eventually
from tests.gateway.observability.collector import SpanSeen, collecting

TRACES = [f"0af7651916cd43dd8448eb211c8031{n}" for n in ("9c", "9d", "9e")]
"""An exporter may lose a batch, so one of several jobs is enough."""


@pytest.mark.timeout(300)
def test_spans_of_gateway_and_triton_are_of_one_trace(tmp_path: Path) -> None:
    with collecting() as collector:
        gateway = Served(tmp_path, otlp_endpoint=collector.url)
        try:
            gateway.wait_ready()
            job = {"task": "generate", "prompt": "a cat", "num_inference_steps": 2}
            for trace in TRACES:
                parent = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
                ended = gateway.http.post(
                    "/v1/jobs", json=job, headers={**parent, "Prefer": "wait=60"}
                )
                assert ended.json()["status"] == "succeeded"

            def told() -> list[list[SpanSeen]]:
                traces = [collector.of_trace(trace) for trace in TRACES]
                both = {"retouch", "retouch-triton"}
                return [spans for spans in traces if {s.service for s in spans} == both]

            eventually(lambda: bool(told()), timeout_s=60, say=lambda: str(collector.spans))
            metrics = gateway.http.get("/metrics").text
        finally:
            gateway.stop()
    spans = told()[0]
    job_span = next(span for span in spans if span.name == "job generate")
    assert any(
        span.parent_id == job_span.span_id for span in spans if span.service == "retouch-triton"
    )
    assert "retouch_http_requests_total" in metrics
    assert 'nv_inference_request_success{model="qwen_image_transformer"' in metrics
    assert "retouch_stage_batch_size" in metrics
