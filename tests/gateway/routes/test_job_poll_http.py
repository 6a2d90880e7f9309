"""Those who poll are answered on a way of their own; what they see is what the route says."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from gateway.inference_fake import FakeBackend
from tests.gateway.conftest import Gateway, Keyed, serve, serve_on_a_port

JOB = {"task": "generate", "prompt": "a lighthouse"}
ORDER = ["queued", "running", "succeeded"]


async def test_the_short_way_says_what_the_route_says(gateway: Gateway) -> None:
    job = await gateway.finish(**JOB)
    url = job["urls"]["self"]
    polled = await gateway.client.get(url)
    routed = await gateway.client.get(f"{url}?wait=0")
    assert polled.content == routed.content
    assert polled.json()["status"] == "succeeded"
    differ = ("x-request-id", "server-timing")
    said, expected = (
        [header for header in one.headers.multi_items() if header[0] not in differ]
        for one in (polled, routed)
    )
    assert said == expected


@pytest.mark.parametrize("name", ["job_0", "job_" + "a" * 80, "x", "job_%00"])
async def test_there_is_no_such_job(gateway: Gateway, name: str) -> None:
    response = await gateway.client.get(f"/v1/jobs/{name}")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


async def test_nobody_polls_another_ones_job(keyed: Keyed) -> None:
    ann, bob = keyed.headers("ann"), keyed.headers("bob")
    job = (await keyed.client.post("/v1/jobs", json=JOB, headers=ann)).json()
    url = job["urls"]["self"]
    asked = [ann, bob, keyed.headers("nobody"), ann, bob]
    answers = await asyncio.gather(*(keyed.client.get(url, headers=who) for who in asked))
    assert [answer.status_code for answer in answers] == [200, 404, 401, 200, 404]


async def test_the_polls_of_a_key_count(keyed: Keyed) -> None:
    slow = keyed.headers("slow")
    job = (await keyed.client.post("/v1/jobs", json=JOB, headers=slow)).json()
    answers = [await keyed.client.get(job["urls"]["self"], headers=slow) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0].headers["x-ratelimit-remaining-requests"] == "1"


async def test_a_page_of_another_origin_may_poll(gateway: Gateway) -> None:
    job = await gateway.submit(**JOB)
    origin = {"Origin": "http://localhost:3000"}
    response = await gateway.client.get(job["urls"]["self"], headers=origin)
    assert response.headers["access-control-allow-origin"] == origin["Origin"]


async def test_polls_are_counted_and_logged_only_when_they_fail(
    gateway: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    job = await gateway.submit(**JOB)
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="gateway.requests"):
        await gateway.client.get(job["urls"]["self"])
        await gateway.client.get("/v1/jobs/job_0")
    asked = [record for record in caplog.records if record.name == "gateway.requests"]
    logged = [record.getMessage().rpartition(" in ")[0] for record in asked]
    assert logged == ["GET /v1/jobs/job_0 404"]
    counted = (await gateway.client.get("/metrics")).text
    for status in ("200", "404"):
        labels = f'method="GET",route="/v1/jobs/{{job_id}}",status="{status}"'
        assert f"retouch_http_requests_total{{{labels}}} 1.0" in counted


async def test_no_one_sees_a_job_go_back(tmp_path: Path) -> None:
    async with (
        serve(tmp_path, FakeBackend(step_s=0.02)) as gateway,
        serve_on_a_port(gateway) as client,
    ):
        job = await gateway.submit(**JOB, num_inference_steps=20)
        seen: list[tuple[int, int]] = []

        async def poll() -> None:
            while not seen or seen[-1][0] < 2:
                view = (await client.get(job["urls"]["self"])).json()
                seen.append((ORDER.index(view["status"]), view["step"]))

        await asyncio.gather(poll(), poll(), poll())
    states = [state for state, _ in seen]
    assert states == sorted(states)
    steps = [step for state, step in seen if state == 1]
    assert steps == sorted(steps)
    assert len(set(steps)) > 3
