"""One trace from the caller through the gateway's job into Triton's models."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.acceptance.served import Served, eventually
from tests.gateway.observability.collector import collecting

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}


@pytest.mark.timeout(300)
def test_spans_of_gateway_and_triton_are_of_one_trace(tmp_path: Path) -> None:
    with collecting() as collector:
        gateway = Served(tmp_path, otlp_endpoint=collector.url)
        try:
            gateway.wait_ready()
            job = {"task": "generate", "prompt": "a cat", "num_inference_steps": 2}
            headers = {**PARENT, "Prefer": "wait=60"}
            ended = gateway.http.post("/v1/jobs", json=job, headers=headers)
            assert ended.json()["status"] == "succeeded"

            def triton_has_told() -> bool:
                spans = collector.of_trace(TRACE)
                return {span.service for span in spans} == {"retouch", "retouch-triton"}

            eventually(triton_has_told, timeout_s=60, say=lambda: str(collector.of_trace(TRACE)))
            metrics = gateway.http.get("/metrics").text
        finally:
            gateway.stop()
    spans = collector.of_trace(TRACE)
    job_span = next(span for span in spans if span.name == "job generate")
    assert any(
        span.parent_id == job_span.span_id for span in spans if span.service == "retouch-triton"
    )
    assert "retouch_http_requests_total" in metrics
    assert 'nv_inference_request_success{model="qwen_image_transformer"' in metrics
    assert "retouch_stage_batch_size" in metrics
