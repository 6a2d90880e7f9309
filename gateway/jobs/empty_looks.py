"""Spares DBOS its full look at a queue in which nothing waits.

Each of its queue threads reads the queue's settings, the application's version and the line anew,
ten times a second: 2 ms of processor time, whether there is work or not. Here one prepared question
goes first, which is not even asked where SQLite says that nobody has written since it found
nothing, and settings and version are read once a second. There is no public hook for that: these
are methods of the release that is pinned.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from gateway.jobs.database_mark import DatabaseMark

SETTINGS_GOOD_FOR_S = 1.0
"""So much later a worker hears of another pace."""


def spare_empty_looks(system: Any) -> None:
    """Put the question before the looks of a launched DBOS.

    Args:
        system: its system database, whose methods are replaced.
    """
    full_look, waits = system.start_queued_workflows, _Waits(system)

    def look(queue: Any, *args: Any, **options: Any) -> Any:
        return full_look(queue, *args, **options) if waits.anything_in(queue.name) else ([], None)

    system.start_queued_workflows = look
    system.get_queue = _read_seldom(system.get_queue)
    system._is_latest_version = _read_seldom(system._is_latest_version)


def _read_seldom(read: Callable[..., Any]) -> Callable[..., Any]:
    """As `read`, from what it found by the same name when that was not long ago.

    Anew where nothing was there, and with options: they change what is to be found.
    """
    known: dict[str, tuple[float, Any]] = {}

    def reading(name: str, *args: Any, **options: Any) -> Any:
        read_at, found = known.get(name, (0.0, None))
        if found is None or options or time.monotonic() - read_at > SETTINGS_GOOD_FOR_S:
            found = read(name, *args, **options)
            known[name] = time.monotonic(), found
        return found

    return reading


class _Waits:
    """Whether a queue is empty, in at most one statement that is put together once."""

    def __init__(self, system: Any) -> None:
        self._engine: sa.Engine = system.engine
        is_sqlite = self._engine.dialect.name == "sqlite"
        self._mark = DatabaseMark(self._engine) if is_sqlite else None
        """PostgreSQL's costs as much as the question."""
        self._empty_at: dict[str, object] = {}
        """Marks by queue; each queue is looked at by one thread."""
        workflows = system.tables.workflow_status
        self._question = (
            sa.select(workflows.c.workflow_uuid)
            .where(
                workflows.c.queue_name == sa.bindparam("queue"),
                workflows.c.status == "ENQUEUED",
                # With it SQLite sees that its small index of live workflows is enough.
                system._in_flight_status_prover(),
            )
            .limit(1)
        )

    def anything_in(self, queue: str) -> bool:
        if self._mark is None:
            return self._ask(queue)
        mark = self._mark.read()  # first: what is written during the question changes the next one
        if self._empty_at.get(queue) == mark:
            return False
        found = self._ask(queue)
        self._empty_at[queue] = None if found else mark
        return found

    def _ask(self, queue: str) -> bool:
        with self._engine.connect() as connection:
            return connection.execute(self._question, {"queue": queue}).first() is not None
