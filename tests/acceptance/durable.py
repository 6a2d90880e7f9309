"""What must hold when all faults are over: every job ended once, with one result, without a gap."""

from __future__ import annotations

import logging

import sqlalchemy as sa

from gateway.jobs.job_tables import events, jobs, results
from tests.acceptance.fault_fleet import Submitter, ended, event_stream

JOBS = 100
LAST = {"succeeded", "failed", "canceled"}
logger = logging.getLogger(__name__)


def check(url: str, other_url: str, database_url: str, submitter: Submitter) -> None:
    """Ask one gateway for the jobs and the other one for their events."""
    submitter.join(timeout=150)
    assert not submitter.is_alive(), f"{len(submitter.accepted)} of {JOBS} were accepted"
    ids = list(submitter.accepted.values())
    assert len(set(ids)) == JOBS
    done = ended(url, ids)
    again = [job["attempts"] for job in done if job["attempts"] > 1]
    logger.warning(
        "%s: %d jobs, %d submissions tried, %d jobs started again, most attempts %d",
        database_url.split(":")[0],
        JOBS,
        submitter.tries,
        len(again),
        max(again, default=1),
    )
    assert {job["status"] for job in done} == {"succeeded"}
    for job_id in ids:
        stream = event_stream(other_url, job_id)
        assert [number for number, _, _ in stream] == list(range(1, len(stream) + 1))
        assert [name in LAST for _, name, _ in stream] == [False] * (len(stream) - 1) + [True]
    check_rows(database_url)


def check_rows(database_url: str) -> None:
    engine = sa.create_engine(database_url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        for table in (jobs, results):
            count = connection.execute(sa.select(sa.func.count()).select_from(table)).scalar()
            assert count == JOBS, table.name
        marks = sa.select(jobs.c.id, jobs.c.events, sa.func.count(), sa.func.max(events.c.id))
        query = marks.join(events, events.c.job_id == jobs.c.id).group_by(jobs.c.id, jobs.c.events)
        for _, said, count, highest in connection.execute(query):
            assert said == count == highest
    engine.dispose()
