"""Deadlines and timings of jobs, through the queue and over HTTP."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from gateway.http.server_timing import timing_headers
from gateway.inference_fake import FakeBackend
from gateway.jobs.job import Job, JobPriority, JobStatus
from tests.gateway.conftest import Gateway, serve
from tests.gateway.held_jobs import HeldJobs, make_queue, submit

ORDER = {"task": "generate", "prompt": "a cat", "num_inference_steps": 4}


async def test_a_job_at_work_past_its_deadline_fails_and_its_work_stops() -> None:
    work = HeldJobs()
    queue = await make_queue(work)
    job = await submit(queue, deadline_s=0.02)
    ended = await queue.wait(job.id, timeout_s=5)
    assert ended.error is not None
    assert (ended.status, ended.error.code) == (JobStatus.FAILED, "deadline_exceeded")
    assert (ended.error.status, work.running["m"]) == (504, 0)
    assert ended.error.message == "The job was not finished within its deadline of 0.02 s."


async def test_a_job_past_its_deadline_in_line_never_runs() -> None:
    queue = await make_queue(HeldJobs())
    await submit(queue)
    job = await submit(queue, deadline_s=0.02)
    ended = await queue.wait(job.id, timeout_s=5)
    assert (ended.status, ended.started_at) == (JobStatus.FAILED, None)
    await queue.close()


async def test_a_job_within_its_deadline_is_left_alone() -> None:
    work = HeldJobs()
    queue = await make_queue(work)
    job = await submit(queue, deadline_s=30)
    await work.finish(job)
    assert (await queue.get(job.id)).status is JobStatus.SUCCEEDED


async def test_interactive_jobs_start_first_though_batch_jobs_came_first() -> None:
    work = HeldJobs()
    queue = await make_queue(work)
    first = await submit(queue, priority=JobPriority.BATCH)
    batch = await submit(queue, priority=JobPriority.BATCH)
    interactive = await submit(queue)
    assert [
        await queue.queue_position(await queue.get(job.id)) for job in (batch, interactive)
    ] == [1, 0]
    await work.finish(first)
    assert (await queue.get(interactive.id)).status is JobStatus.RUNNING
    assert (await queue.get(batch.id)).status is JobStatus.QUEUED
    await queue.close()


async def test_a_deadline_over_http_is_a_problem_with_504(tmp_path: Path) -> None:
    async with serve(tmp_path, FakeBackend(step_s=0.2)) as gateway:
        job = await gateway.finish(**ORDER, deadline_s=0.1)
        assert (job["status"], job["error"]["code"]) == ("failed", "deadline_exceeded")
        answer = await gateway.client.get(job["urls"]["result"])
        assert (answer.status_code, answer.json()["code"]) == (504, "deadline_exceeded")
        assert gateway.backend.painting == 0


async def test_the_model_server_learns_what_a_job_asked_for(gateway: Gateway) -> None:
    await gateway.finish(**ORDER, priority="batch", determinism="exact", deadline_s=60)
    await gateway.finish(**ORDER)
    first, second = gateway.backend.painted
    assert (first.is_batch, first.exact, second.is_batch, second.exact) == (
        True,
        True,
        False,
        False,
    )
    assert first.deadline_s is not None
    assert 50 < first.deadline_s <= 60
    assert second.deadline_s is None


async def test_timings_are_sums_over_the_pictures_and_a_header(gateway: Gateway) -> None:
    answer = await gateway.client.post(
        "/v1/jobs", json={**ORDER, "n": 2}, headers={"Prefer": "wait=20"}
    )
    job = answer.json()
    assert job["timings"]["stages"]["transformer"]["calls"] == 8
    assert job["timings"]["stages"]["text_encoder"]["calls"] == 2
    header = answer.headers["Server-Timing"]
    assert header.startswith("text;dur=0.0;desc=")
    assert 'denoise;dur=0.0;desc="8 calls", total;dur=0.0' in header
    for path in (job["urls"]["self"], job["urls"]["result"]):
        assert (await gateway.client.get(path)).headers["Server-Timing"] == header


async def test_a_job_that_has_not_ended_has_no_timings(gateway: Gateway) -> None:
    answer = await gateway.client.post("/v1/jobs", json=ORDER)
    assert answer.headers["Server-Timing"].startswith("request;dur=")
    assert answer.json()["timings"] == {"inference_s": None, "stages": {}}


def test_the_header_tells_some_from_all() -> None:
    figures = {"seconds": 0.0015, "calls": 2, "cached": 1}
    stages = {"text_encoder": figures, "vae_encoder": {**figures, "cached": 2}}
    timings = {"inference_s": 0.25, "stages": stages}
    job = Job(id="job_1", task="edit", model="m", request={}, timings=timings)
    assert timing_headers(job)["Server-Timing"] == (
        'text;dur=1.5;desc="1 of 2 cached", condition;dur=1.5;desc="cached", total;dur=250.0'
    )
    assert timing_headers(replace(job, timings={})) == {}
