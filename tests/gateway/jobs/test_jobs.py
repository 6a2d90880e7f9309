"""The queue alone, with jobs that end when the test says so."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from gateway.errors import NotFoundError, OverloadedError, TooManyJobsError
from gateway.jobs.job import Job, JobEvent, JobResult, JobStatus
from gateway.jobs.job_queue import JobQueue, JobReporter
from tests.gateway.held_jobs import RESULT, HeldJobs, make_queue, settle, submit, watched


def names(events: list[JobEvent]) -> list[str]:
    return [event.name for event in events]


@pytest.mark.parametrize(
    ("status", "terminal"),
    [
        (JobStatus.QUEUED, False),
        (JobStatus.RUNNING, False),
        (JobStatus.SUCCEEDED, True),
        (JobStatus.FAILED, True),
        (JobStatus.CANCELED, True),
        (JobStatus.EXPIRED, True),
    ],
)
def test_a_status_knows_whether_it_is_the_end(status: JobStatus, terminal: bool) -> None:
    assert status.is_terminal is terminal


async def test_a_job_goes_from_queued_through_running_to_succeeded() -> None:
    work = HeldJobs()
    queue = await make_queue(work)
    job = await queue.submit(task="generate", model="m", request={})
    assert job.status is JobStatus.QUEUED
    await settle()
    running = await queue.get(job.id)
    assert running.status is JobStatus.RUNNING
    assert running.started_at is not None
    work.step(job, 1, 4)
    await settle()
    assert 0 < (await queue.get(job.id)).progress < 1
    await work.finish(job)
    done = await queue.get(job.id)
    assert (done.status, done.progress, done.output) == (JobStatus.SUCCEEDED, 1.0, RESULT.output)
    assert done.completed_at is not None
    assert job.status is JobStatus.QUEUED, "a snapshot does not change"


async def test_an_error_of_ours_fails_the_job_with_its_own_words() -> None:
    work = HeldJobs()
    queue = await make_queue(work)
    job = await submit(queue)
    await work.fail(job, OverloadedError("The queue of model m is full."))
    failed = await queue.get(job.id)
    assert failed.status is JobStatus.FAILED
    assert failed.error is not None
    assert (failed.error.code, failed.error.message) == (
        "overloaded",
        "The queue of model m is full.",
    )


async def test_any_other_error_fails_the_job_without_details_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    work = HeldJobs()
    queue = await make_queue(work)
    job = await submit(queue)
    with caplog.at_level(logging.ERROR):
        await work.fail(job, ZeroDivisionError("/opt/secret.py"))
    failed = await queue.get(job.id)
    assert failed.error is not None
    assert failed.error.code == "internal_error"
    assert "secret" not in failed.error.message
    assert caplog.records[0].exc_info is not None


async def test_a_failed_job_gives_its_slot_to_the_next() -> None:
    work = HeldJobs()
    queue = await make_queue(work)
    first, second = await submit(queue), await submit(queue)
    assert (await queue.get(second.id)).status is JobStatus.QUEUED
    await work.fail(first, ValueError("no"))
    assert (await queue.get(second.id)).status is JobStatus.RUNNING
    await queue.close()


async def test_models_do_not_wait_for_each_other() -> None:
    queue = await make_queue(HeldJobs())
    jobs = [await submit(queue, "a"), await submit(queue, "b"), await submit(queue, "a")]
    assert [(await queue.get(job.id)).status.value for job in jobs] == [
        "running",
        "running",
        "queued",
    ]
    await queue.close()


async def test_a_queued_job_is_canceled_and_never_runs() -> None:
    work = HeldJobs()
    queue = await make_queue(work)
    first, second, third = [await submit(queue) for _ in range(3)]
    assert (await queue.cancel(second.id)).status is JobStatus.CANCELED
    await work.finish(first)
    assert (await queue.get(second.id)).started_at is None
    assert (await queue.get(third.id)).status is JobStatus.RUNNING
    await queue.close()


async def test_a_running_job_is_canceled_and_its_work_stops() -> None:
    work = HeldJobs()
    queue = await make_queue(work)
    job = await submit(queue)
    assert (await queue.cancel(job.id)).status is JobStatus.CANCELED
    await settle()
    assert work.running["m"] == 0
    assert names(await watched(queue, job)) == ["queued", "started", "canceled"]


async def test_an_ended_job_is_left_as_it_is_by_a_cancel() -> None:
    work = HeldJobs()
    queue = await make_queue(work)
    job = await submit(queue)
    await work.finish(job)
    before = await queue.get(job.id)
    assert await queue.cancel(job.id) == before


async def test_the_first_end_wins_over_a_runner_that_ignores_its_cancel() -> None:
    async def stubborn(job: Job, report: JobReporter) -> JobResult:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            report.step_done(4, 4)
        return RESULT

    queue = await make_queue(stubborn)
    job = await submit(queue)
    await queue.cancel(job.id)
    await settle()
    ended = await queue.get(job.id)
    assert (ended.status, ended.output, ended.progress) == (JobStatus.CANCELED, (), 0.0)
    assert names(await watched(queue, job))[-1] == "canceled"


async def test_close_puts_what_runs_and_what_waits_in_line_again(tmp_path: Path) -> None:
    queue = await make_queue(HeldJobs(), url=f"sqlite:///{tmp_path}/jobs.db")
    jobs = [await submit(queue) for _ in range(3)]
    await queue.close()
    left = [await queue.get(job.id) for job in jobs]
    assert {job.status for job in left} == {JobStatus.QUEUED}
    assert [job.attempts for job in left] == [0, 0, 0], "nobody died: no attempt is lost"


async def test_close_does_not_mind_a_job_canceled_at_once() -> None:
    queue = await make_queue(HeldJobs())
    job = await queue.submit(task="generate", model="m", request={})
    await queue.cancel(job.id)
    await settle()
    await submit(queue)
    await queue.close()


async def test_a_watcher_from_the_start_sees_everything() -> None:
    work = HeldJobs()
    queue = await make_queue(work)
    job = await submit(queue)
    watcher = asyncio.create_task(watched(queue, job))
    await settle()
    work.step(job, 1, 2)
    work.preview(job)
    await settle()
    work.step(job, 2, 2)
    await work.finish(job)
    events = await watcher
    assert names(events) == ["queued", "started", "progress", "preview", "progress", "succeeded"]
    assert [event.id for event in events] == [1, 2, 3, 4, 5, 6]
    assert [event.is_last for event in events] == [False] * 5 + [True]


async def test_a_watcher_that_comes_late_sees_the_same() -> None:
    work = HeldJobs()
    queue = await make_queue(work)
    job = await submit(queue)
    early = asyncio.create_task(watched(queue, job))
    await work.finish(job)
    assert await early == await watched(queue, job)


@pytest.mark.parametrize("after", [0, 1, 2, 3, 99])
async def test_a_watcher_that_comes_back_sees_what_it_missed(after: int) -> None:
    work = HeldJobs()
    queue = await make_queue(work)
    job = await submit(queue)
    await work.finish(job)
    everything = await watched(queue, job)
    assert len(everything) == 3
    assert await watched(queue, job, after=after) == everything[after:]


async def test_a_slow_watcher_misses_nothing_that_happens_while_it_is_busy() -> None:
    work = HeldJobs()
    queue = await make_queue(work)
    job = await submit(queue)
    seen = []
    async for event in queue.watch(job.id):
        seen.append(event.name)
        if event.name == "started":
            work.step(job, 1, 1)
            await work.finish(job)
    assert seen == ["queued", "started", "progress", "succeeded"]


async def test_an_unknown_job_cannot_be_watched_or_fetched() -> None:
    queue = await make_queue(HeldJobs())
    with pytest.raises(NotFoundError, match="no job 'job_0'"):
        await queue.get("job_0")
    with pytest.raises(NotFoundError):
        await anext(queue.watch("job_0"))


async def test_waiting_gives_up_after_its_time_and_leaves_the_job_alone() -> None:
    work = HeldJobs()
    queue = await make_queue(work)
    job = await submit(queue)
    assert (await queue.wait(job.id, timeout_s=0.01)).status is JobStatus.RUNNING
    await work.finish(job)
    assert (await queue.wait(job.id, timeout_s=5)).status is JobStatus.SUCCEEDED


async def test_more_jobs_than_may_wait_are_refused() -> None:
    queue = await make_queue(HeldJobs(), max_queued=2)
    for _ in range(3):
        await submit(queue)
    with pytest.raises(TooManyJobsError, match="limit is 2"):
        await submit(queue)
    await queue.close()


async def test_the_queue_position_counts_earlier_jobs_of_the_same_model() -> None:
    work = HeldJobs()
    queue = await make_queue(work)
    jobs = [await submit(queue, model) for model in ("a", "b", "a", "b", "a")]
    assert [await queue.queue_position(await queue.get(job.id)) for job in jobs] == [
        None,
        None,
        0,
        0,
        1,
    ]
    first = await anext(queue.watch(jobs[-1].id))
    assert first.data == {"queue_position": 1}
    await work.finish(jobs[0])
    assert await queue.queue_position(await queue.get(jobs[4].id)) == 0
    await queue.close()


async def test_the_latest_jobs_come_newest_first_and_page_by_page() -> None:
    queue = await make_queue(HeldJobs(), jobs_per_model=3)
    ids = [(await submit(queue)).id for _ in range(5)]
    newest = await queue.latest(status=None, limit=2, after=None)
    assert [job.id for job in newest] == [ids[4], ids[3]]
    rest = await queue.latest(status=None, limit=9, after=ids[3])
    assert [job.id for job in rest] == [ids[2], ids[1], ids[0]]
    waiting = await queue.latest(status=JobStatus.QUEUED, limit=9, after=None)
    assert [job.id for job in waiting] == [ids[4], ids[3]]
    with pytest.raises(NotFoundError):
        await queue.latest(status=None, limit=9, after="job_0")
    await queue.close()


async def _ended(queue: JobQueue, work: HeldJobs) -> Job:
    job = await submit(queue)
    await work.finish(job)
    return job


async def test_the_oldest_ended_jobs_are_forgotten_and_live_ones_never() -> None:
    work = HeldJobs()
    queue = await make_queue(work, max_kept=2, jobs_per_model=2)
    running = await submit(queue)
    ended = [await _ended(queue, work) for _ in range(3)]
    await asyncio.sleep(0.2)
    assert [job.id for job in await queue.latest(status=None, limit=9, after=None)] == [
        ended[2].id,
        ended[1].id,
        running.id,
    ]
    with pytest.raises(NotFoundError):
        await queue.get(ended[0].id)
