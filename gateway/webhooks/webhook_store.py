"""Webhooks that are due: written with the end of the job, so that none is forgotten."""

from __future__ import annotations

import time
from dataclasses import dataclass

import sqlalchemy as sa

from gateway.errors import NotFoundError
from gateway.jobs.job_database import JobDatabase
from gateway.jobs.job_tables import webhooks

DELAYS_S = (5.0, 30.0, 120.0, 600.0, 3600.0, 10_800.0, 21_600.0, 43_200.0)
"""Waits between tries; after the last one a delivery is given up."""
LEASE_S = 60.0
"""For so long a delivery is its taker's alone."""


@dataclass(frozen=True)
class Delivery:
    """One message to one address."""

    id: str
    job_id: str
    url: str
    attempts: int
    """Tries before this one."""


def take_due(database: JobDatabase, *, limit: int = 20) -> list[Delivery]:
    """Deliveries whose time has come; no other process gets them for a while."""
    now = time.time()
    due = (
        sa.select(webhooks)
        .where(webhooks.c.due_at <= now)
        .order_by(webhooks.c.due_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    with database.writing() as connection:
        rows = connection.execute(due).all()
        ids = [row.id for row in rows]
        connection.execute(
            sa.update(webhooks).where(webhooks.c.id.in_(ids)).values(due_at=now + LEASE_S)
        )
        return [Delivery(row.id, row.job_id, row.url, row.attempts) for row in rows]


def note_delivered(database: JobDatabase, delivery: Delivery) -> None:
    """It arrived."""
    _note(database, delivery, due_at=None, delivered_at=time.time(), last_error=None)


def note_failed(database: JobDatabase, delivery: Delivery, reason: str) -> None:
    """It did not arrive: try again later, or give up."""
    left = delivery.attempts < len(DELAYS_S)
    due_at = time.time() + DELAYS_S[delivery.attempts] if left else None
    _note(database, delivery, due_at=due_at, last_error=reason[:500])


def replay(database: JobDatabase, job_id: str) -> None:
    """Deliver a job's webhook once more, from the first try.

    Raises:
        NotFoundError: the job has none, or has not ended.
    """
    again = {"due_at": time.time(), "attempts": 0, "delivered_at": None}
    with database.writing() as connection:
        changed = connection.execute(
            sa.update(webhooks).where(webhooks.c.job_id == job_id).values(**again)
        )
        if changed.rowcount == 0:
            raise NotFoundError(f"Job {job_id[:80]!r} has no webhook to deliver.")


def _note(database: JobDatabase, delivery: Delivery, **columns: object) -> None:
    with database.writing() as connection:
        connection.execute(
            sa.update(webhooks)
            .where(webhooks.c.id == delivery.id)
            .values(attempts=delivery.attempts + 1, **columns)
        )
