"""One look at all live jobs shows each as a look at it alone does, whoever changed it."""

from __future__ import annotations

import pytest

from gateway.jobs import job_glance, job_lookup, job_store, job_submission
from gateway.jobs.job import JobPriority, JobStatus, NewJob, Ticket
from gateway.jobs.job_database import JobDatabase
from gateway.jobs.live_jobs import A_FEW, LiveJobs
from tests.gateway.jobs.test_database_mark import cancel_elsewhere

PRIORITIES = (JobPriority.INTERACTIVE, JobPriority.BATCH)


@pytest.fixture
def ids(database: JobDatabase) -> list[str]:
    """Of jobs of two models, owners and priorities; one has begun, one has ended."""
    ids = []
    for n in range(2 * A_FEW):
        new = NewJob(
            task="generate",
            model=f"m{n % 2}",
            request={"n": 1},
            owner=f"owner{n % 3}",
            priority=PRIORITIES[n % 5 == 0],
        )
        accepted = job_submission.submit(database, new, once=None, max_queued=100, keep_s=60)
        ids.append(accepted.job.id)
    assert job_store.begin(database, Ticket(ids[1], 1, "m1", 0), "w", max_attempts=3)
    job_store.end(database, ids[2], JobStatus.CANCELED)
    return ids


def test_all_live_jobs_stand_as_each_alone_does(database: JobDatabase, ids: list[str]) -> None:
    standings = LiveJobs().look(database)
    assert standings.keys() == set(ids) - {ids[2]}
    for job_id, standing in standings.items():
        job = job_lookup.get(database, job_id)
        assert standing.change == job_lookup.changes(database, [job_id])[job_id]
        assert standing.queue_position == job_submission.queue_position(database, job)


def test_many_are_seen_as_one_by_one(database: JobDatabase, ids: list[str]) -> None:
    live = LiveJobs()
    alone = {}
    for job_id in ids:
        alone |= job_glance.glances(database, [job_id], {}, live)
    together = job_glance.glances(database, [*ids, "job_0"], {}, live)
    assert together == alone
    again = job_glance.glances(database, ids, together, live)
    assert again == alone
    assert all(again[job_id].job is together[job_id].job for job_id in ids)


def test_a_look_holds_until_somebody_writes(database: JobDatabase, ids: list[str]) -> None:
    live = LiveJobs()
    # PostgreSQL itself may commit something in between, to clean up.
    assert any(live.look(database) is live.look(database) for _ in range(20))
    before = live.look(database)
    job_store.end(database, ids[4], JobStatus.CANCELED)
    assert before.keys() - live.look(database).keys() == {ids[4]}


def test_what_another_process_did_shows_in_all_places(
    database: JobDatabase, ids: list[str]
) -> None:
    live = LiveJobs()
    known = job_glance.glances(database, ids, {}, live)
    places = {job_id: seen.queue_position for job_id, seen in known.items()}
    first, second = sorted((p, i) for i, p in places.items() if p is not None and i in ids[3::2])[
        :2
    ]
    cancel_elsewhere(database.url, first[1])
    after = job_glance.glances(database, ids, known, live)
    assert after[first[1]].job.status is JobStatus.CANCELED
    assert after[first[1]].queue_position is None
    assert (second[0], after[second[1]].queue_position) == (1, 0)
    assert after[second[1]].job is known[second[1]].job
