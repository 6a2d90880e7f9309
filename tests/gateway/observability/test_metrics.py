"""`/metrics` of the gateway."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from gateway.errors import DoesNotFitError
from gateway.inference_fake import FakeBackend
from tests.gateway.conftest import Gateway, Keyed, serve
from tests.odd_pictures import photo

CAT = {"task": "generate", "prompt": "a cat"}


async def samples(gateway: Gateway, **headers: str) -> dict[str, Any]:
    response = await gateway.client.get("/metrics", headers=headers)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    found: dict[str, Any] = {}
    for family in text_string_to_metric_families(response.text):
        for sample in family.samples:
            labels = ",".join(f"{k}={v}" for k, v in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}"] = sample.value
    return found


async def test_requests_are_counted_by_route_not_by_id(gateway: Gateway) -> None:
    for _ in range(2):
        await gateway.client.get("/v1/jobs/job_0")
    await gateway.client.get("/nothing")
    found = await samples(gateway)
    assert found["retouch_http_requests_total{method=GET,route=/v1/jobs/{job_id},status=404}"] == 2
    assert found["retouch_http_requests_total{method=GET,route=unknown,status=404}"] == 1
    assert found["retouch_http_request_seconds_count{method=GET,route=/v1/jobs/{job_id}}"] == 2


async def test_jobs_are_counted_by_state_and_outcome(gateway: Gateway) -> None:
    await gateway.finish(**CAT)
    gateway.backend.failure = DoesNotFitError("no")
    await gateway.finish(**CAT)
    found = await samples(gateway)
    assert found["retouch_jobs{status=succeeded}"] == found["retouch_jobs{status=failed}"] == 1
    assert found["retouch_jobs{status=queued}"] == 0
    assert found["retouch_job_run_seconds_count{model=qwen_image,outcome=succeeded}"] == 1
    assert found["retouch_job_run_seconds_count{model=qwen_image,outcome=failed}"] == 1
    assert found["retouch_job_stage_calls_total{cached=false,stage=transformer}"] == 4


async def test_the_age_of_the_queue_is_told(tmp_path: Path) -> None:
    async with serve(tmp_path, FakeBackend(step_s=0.3), jobs_per_model=1) as gateway:
        assert (await samples(gateway))["retouch_oldest_queued_job_age_seconds{}"] == 0
        for _ in range(2):
            await gateway.submit(**CAT)
        first = (await samples(gateway))["retouch_oldest_queued_job_age_seconds{}"]
        second = (await samples(gateway))["retouch_oldest_queued_job_age_seconds{}"]
    assert 0 < first < second


async def test_a_second_click_is_a_cache_hit(gateway: Gateway) -> None:
    body = {"image": await gateway.upload(photo()), "everything": True}
    for _ in range(3):
        await gateway.client.post("/v1/masks", json=body)
    found = await samples(gateway)
    assert found["retouch_segmentation_cache_total{hit=true}"] == 2
    assert found["retouch_segmentation_cache_total{hit=false}"] == 1


async def test_models_tell_whether_they_are_ready(gateway: Gateway) -> None:
    assert (await samples(gateway))["retouch_model_ready{model=fastsam}"] == 1


async def test_metrics_are_for_admins_and_count_everybodys_jobs(keyed: Keyed) -> None:
    await keyed.client.post(
        "/v1/jobs", json=CAT, headers={**keyed.headers("ann"), "Prefer": "wait=20"}
    )
    for who, status in (("nobody", 401), ("ann", 403)):
        response = await keyed.client.get("/metrics", headers=keyed.headers(who))
        assert response.status_code == status
    found = await samples(keyed.gateway, **keyed.headers("admin"))
    assert found["retouch_jobs{status=succeeded}"] == 1
