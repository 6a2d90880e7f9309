"""One look tells what the store's separate questions tell."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import NotFoundError, StoreUnavailableError
from gateway.jobs import job_glance, job_housekeeping, job_lookup, job_store, job_submission
from gateway.jobs.job import Fence, JobPriority, JobStatus, NewJob, Ticket
from gateway.jobs.job_database import JobDatabase
from gateway.jobs.job_glance import Glance, JobGlances
from gateway.jobs.live_jobs import LiveJobs


def submit(database: JobDatabase, **fields: object) -> str:
    new = NewJob(**{"task": "generate", "model": "m", "request": {"n": 1}, **fields})  # type: ignore[arg-type]
    return job_submission.submit(database, new, once=None, max_queued=100, keep_s=-1).job.id


def look(database: JobDatabase, *job_ids: str) -> dict[str, Glance]:
    return job_glance.glances(database, job_ids, {}, LiveJobs())


def test_a_glance_is_the_job_and_its_place(database: JobDatabase) -> None:
    ids = [
        submit(database, owner="ann"),
        submit(database, owner="ann", priority=JobPriority.BATCH),
        submit(database, owner="ann"),
        submit(database, owner="bob"),
        submit(database, owner="bob", model="other"),
    ]
    seen = look(database, *ids)
    assert [seen[job_id].queue_position for job_id in ids] == [0, 3, 2, 1, 0]
    for job_id in ids:
        job = job_lookup.get(database, job_id)
        assert seen[job_id].job == job
        assert seen[job_id].queue_position == job_submission.queue_position(database, job)


def test_what_does_not_wait_has_no_place(database: JobDatabase) -> None:
    first, second = submit(database), submit(database)
    job_store.end(database, first, JobStatus.CANCELED)
    seen = look(database, first, second)
    assert (seen[first].job.status, seen[first].queue_position) == (JobStatus.CANCELED, None)
    assert seen[second].queue_position == 0


def test_an_unknown_job_is_left_out(database: JobDatabase) -> None:
    job_id = submit(database)
    assert look(database, "job_0", job_id).keys() == {job_id}


def test_every_change_of_a_job_is_seen(database: JobDatabase) -> None:
    job_id = submit(database)
    known = look(database, job_id)
    assert (
        job_glance.glances(database, [job_id], known, LiveJobs())[job_id].job is known[job_id].job
    )
    changes: list[Callable[[], object]] = [
        lambda: job_store.begin(database, Ticket(job_id, 1, "m", 0), "w", max_attempts=3),
        lambda: job_store.record(database, Fence(job_id, 1, 1), "progress", {}, step=1),
        lambda: job_store.put_in_line_again(database, job_id),
        lambda: job_store.end(database, job_id, JobStatus.SUCCEEDED),
        lambda: job_housekeeping.expire(database),
    ]
    for change in changes:
        before = known[job_id].job
        change()
        known = job_glance.glances(database, [job_id], known, LiveJobs())
        assert known[job_id].job == job_lookup.get(database, job_id) != before
    job_store.delete(database, job_id)
    assert not job_glance.glances(database, [job_id], known, LiveJobs())


class Counted(JobDatabase):
    """Counts the looks."""

    looks = 0

    async def call(self, *args: Any, **options: Any) -> Any:
        self.looks += 1
        await asyncio.sleep(0.01)
        return await super().call(*args, **options)


@pytest.fixture
def counted(tmp_path: Path, database: JobDatabase) -> Iterator[Counted]:
    counted = Counted(database.url)
    yield counted
    counted.close()


async def test_many_who_ask_share_a_look(counted: Counted) -> None:
    ids = [submit(counted) for _ in range(5)]
    glances = JobGlances(counted, LiveJobs())
    seen = await asyncio.gather(*(glances.glance(ids[n % 5]) for n in range(100)))
    assert [glance.job.id for glance in seen] == ids * 20
    assert counted.looks == 1


async def test_what_is_shown_was_read_after_it_was_asked_for(counted: Counted) -> None:
    job_id = submit(counted)
    glances = JobGlances(counted, LiveJobs())
    early = asyncio.create_task(glances.glance(job_id))
    while not counted.looks:  # noqa: ASYNC110
        await asyncio.sleep(0)
    job_store.end(counted, job_id, JobStatus.CANCELED)
    assert (await glances.glance(job_id)).job.status is JobStatus.CANCELED
    await early
    assert counted.looks == 2


async def test_one_who_went_away_takes_nobody_along(counted: Counted) -> None:
    job_id = submit(counted)
    glances = JobGlances(counted, LiveJobs())
    gone, stays = (asyncio.create_task(glances.glance(job_id)) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    assert (await stays).job.id == job_id


@pytest.mark.parametrize("name", ["job_0", "", "job_\0", "\udcff", "x" * 65, "job_1' OR 1=1"])
async def test_an_unknown_job_is_not_found(counted: Counted, name: str) -> None:
    job_id = submit(counted)
    glances = JobGlances(counted, LiveJobs())
    found, missed = await asyncio.gather(
        glances.glance(job_id), glances.glance(name), return_exceptions=True
    )
    assert isinstance(found, Glance)
    assert isinstance(missed, NotFoundError)


async def test_a_database_that_is_away_is_told_to_all(tmp_path: Path) -> None:
    glances = JobGlances(JobDatabase("postgresql://u:p@127.0.0.1:1/none"), LiveJobs())
    asked = (glances.glance(f"job_{n}") for n in range(3))
    said = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(error) for error in said] == [StoreUnavailableError] * 3


def test_the_latest_come_with_their_places(database: JobDatabase) -> None:
    ids = [submit(database, owner=owner) for owner in ("ann", "ann", "bob")]
    job_store.end(database, ids[1], JobStatus.CANCELED)
    everything: dict[str, Any] = {"status": None, "limit": 9, "after": None, "owner": None}
    seen = job_glance.latest(database, **everything)
    alone = look(database, *ids)
    assert seen == [alone[job_id] for job_id in reversed(ids)]
    assert [each.queue_position for each in seen] == [1, None, 0]
    anns = job_glance.latest(database, **{**everything, "owner": "ann"})
    assert [each.job.id for each in anns] == ids[1::-1]
