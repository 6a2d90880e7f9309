"""Forecasts as clients see them, on a model server in memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from gateway.inference_fake import FakeBackend
from gateway.jobs import job_durations
from gateway.jobs.job import JobStatus
from gateway.jobs.job_database import JobDatabase
from gateway.jobs.job_queue import JobQueue
from gateway.jobs.job_tables import durations
from tests.gateway.conftest import Gateway, serve, until
from tests.gateway.held_jobs import HeldJobs, make_queue, submit
from tests.gateway.problems import assert_problem

CAT: dict[str, Any] = {"task": "generate", "prompt": "a cat"}
WAITED = {"Prefer": "wait=20"}


async def taught(gateway: Gateway, jobs: int = 5) -> None:
    """The gateway has seen what jobs take."""
    for _ in range(jobs):
        done = await gateway.client.post("/v1/jobs", json=CAT, headers=WAITED)
        assert done.json()["status"] == "succeeded"


async def test_a_job_says_when_it_will_end_once_others_have_ended(tmp_path: Path) -> None:
    async with serve(tmp_path, FakeBackend(step_s=0.02), jobs_per_model=1) as gateway:
        first = await gateway.submit(**CAT)
        assert (first["eta_s"], first["eta_p90_s"]) == (None, None)
        await taught(gateway)
        gateway.backend.step_s = 2.0
        await gateway.submit(**CAT)
        shown = [await gateway.submit(**CAT) for _ in range(20)][-1]

        async def told() -> bool:
            job = (await gateway.client.get(shown["urls"]["self"])).json()
            return job["eta_s"] is not None and 0 < job["eta_s"] <= job["eta_p90_s"]

        await until(told)
        listed = (await gateway.client.get("/v1/jobs")).json()["data"]
        waits = [job["eta_s"] for job in listed if job["status"] == "queued"]
        assert waits == sorted(waits, reverse=True), "newest first: later in line, later at the end"
        ended = (await gateway.client.get(first["urls"]["self"], params={"wait": 20})).json()
        assert (ended["eta_s"], ended["eta_p90_s"]) == (None, None)


async def test_events_of_a_live_job_say_it_too(tmp_path: Path) -> None:
    async with serve(tmp_path, FakeBackend(step_s=0.02), jobs_per_model=1) as gateway:
        await taught(gateway)
        gateway.backend.step_s = 0.3
        job = await gateway.submit(**CAT)
        told: dict[str, list[dict[str, Any]]] = {"queued": [], "progress": []}
        stream = (await gateway.client.get(job["urls"]["events"])).text
        for frame in stream.strip().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in frame.splitlines())
            if fields["event"] in told:
                told[fields["event"]].append(json.loads(fields["data"]))
        assert told["queued"][0]["queue_position"] == 0
        assert any("eta_s" in data for data in told["progress"])
        later = (await gateway.client.get(job["urls"]["events"])).text
        assert "eta_s" not in later, "nothing is foretold of a job that has ended"


async def test_a_full_line_says_when_there_will_be_room(tmp_path: Path) -> None:
    fast = FakeBackend(step_s=0.5)
    async with serve(tmp_path, fast, jobs_per_model=1, max_queued_jobs=1) as gateway:
        fast.step_s = 0.0
        await taught(gateway)
        await _lengthen(gateway, 30.0)
        fast.step_s = 5.0
        first = await gateway.submit(**CAT)

        async def runs() -> bool:
            job = (await gateway.client.get(first["urls"]["self"])).json()
            return bool(job["status"] == "running")

        await until(runs)
        await gateway.submit(**CAT)

        async def told() -> bool:
            response = await gateway.client.post("/v1/jobs", json=CAT)
            assert assert_problem(response)["code"] == "queue_full"
            return 25 <= int(response.headers["retry-after"]) <= 30

        await until(told)
        await _lengthen(gateway, 3000.0)

        async def bounded() -> bool:
            response = await gateway.client.post("/v1/jobs", json=CAT)
            return response.headers["retry-after"] == "60"

        await until(bounded)


async def _lengthen(gateway: Gateway, seconds: float) -> None:
    """As if all jobs so far had taken that long."""

    def write(database: JobDatabase) -> None:
        with database.writing() as connection:
            connection.execute(durations.update().values(seconds=seconds))

    await gateway.app.state.services.queue.database.call(write)


async def test_only_jobs_that_succeeded_at_once_are_learnt_from() -> None:
    held = HeldJobs()
    queue = await make_queue(held, jobs_per_model=3)
    good, bad, canceled = [await submit(queue) for _ in range(3)]
    await held.fail(bad, ValueError("no"))
    await queue.cancel(canceled.id)
    await held.finish(good)
    await queue.wait(good.id, timeout_s=5)
    assert (await queue.get(bad.id)).status is JobStatus.FAILED
    observed = await _observed(queue)
    assert [seen.workload.task for seen in observed] == ["generate"]


async def test_jobs_beside_it_are_counted_and_the_oldest_are_forgotten() -> None:
    held = HeldJobs()
    queue = await make_queue(held, jobs_per_model=3)
    jobs = [await submit(queue) for _ in range(3)]
    for job in jobs:
        await held.finish(job)
        await queue.wait(job.id, timeout_s=5)
    assert [seen.beside for seen in await _observed(queue)] == [0, 1, 2]
    newer = {"model": "m", "task": "edit", "pixels": 1, "steps": 1.0, "pictures": 1}
    newer |= {"guided": False, "beside": 9, "seconds": 1.0}
    with queue.database.writing() as connection:
        connection.execute(durations.insert(), [newer] * job_durations.KEPT)
    await queue.database.call(job_durations.forget_old)
    with queue.database.reading() as connection:
        assert list(connection.execute(sa.select(durations.c.beside)).scalars()) == (
            [9] * job_durations.KEPT
        )


async def _observed(queue: JobQueue) -> list[Any]:
    await submit(queue)  # nothing is looked up where nobody waits
    found = await queue.database.call(job_durations.lines, seen_within_s=60)
    return list(found.by_model["m"].observed)
