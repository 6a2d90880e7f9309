"""One change of a job and the event that tells of it, written together.

The statements are put together once, by `change`: that costs more than the database takes for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from gateway.jobs.job import Fence, JobStatus
from gateway.jobs.job_tables import events, jobs

HELD = (
    (jobs.c.status == JobStatus.RUNNING.value)
    & (jobs.c.ticket == sa.bindparam("held_ticket"))
    & (jobs.c.attempts == sa.bindparam("held_attempts"))
)
"""The job, as long as it runs as the fence says that is shown."""
_NEW_EVENT = events.insert()


def change(
    condition: sa.ColumnElement[bool],
    *columns: str,
    returning: tuple[sa.ColumnElement[Any], ...] = (),
    **computed: Any,
) -> sa.Executable:
    """A change to a job of which `condition` holds, that gives it the id of one more event.

    Args:
        condition: e.g. `LIVE` or `HELD`.
        columns: what is set to values that come with each execution.
        returning: what `make` gives back beside the event's id.
        computed: what is set to the same expression each time.
    """
    given = {name: sa.bindparam(f"new_{name}", type_=jobs.c[name].type) for name in columns}
    return (
        sa.update(jobs)
        .where(jobs.c.id == sa.bindparam("of_job"), condition)
        .values({"events": jobs.c.events + 1, **given, **computed})
        .returning(jobs.c.events.label("event_id"), *returning)
    )


def make(
    connection: sa.Connection, how: sa.Executable, job_id: str, **values: Any
) -> sa.Row[Any] | None:
    """Change a job; the row that is returned, None when the condition does not hold of it.

    `values`: of columns as `new_<column>`, and what else the change asks for.
    """
    return connection.execute(how, {"of_job": job_id, **values}).first()


def tell(
    connection: sa.Connection, job_id: str, number: int, name: str, data: Mapping[str, Any]
) -> None:
    """Add the event of a change that was made."""
    row = {"job_id": job_id, "id": number, "name": name, "data": dict(data)}
    connection.execute(_NEW_EVENT, row)


def record(
    connection: sa.Connection,
    how: sa.Executable,
    job_id: str,
    name: str,
    data: Mapping[str, Any],
    **values: Any,
) -> int | None:
    """Change a job and add an event; its id, None when nothing was changed."""
    row = make(connection, how, job_id, **values)
    if row is None:
        return None
    number: int = row.event_id
    tell(connection, job_id, number, name, data)
    return number


def shown(fence: Fence) -> dict[str, int]:
    """What a change to a `HELD` job asks for."""
    return {"held_ticket": fence.ticket, "held_attempts": fence.attempt}
