"""Spares DBOS its full look at a queue in which nothing waits.

Each of its queue threads reads the queue's settings, the application's version and the line anew,
ten times a second: 2 ms of processor time, whether there is work or not. Here one prepared question
goes first, and the settings are read once a second. There is no public hook for that: these are
methods of the release that is pinned.
"""

from __future__ import annotations

import time
from typing import Any

import sqlalchemy as sa

SETTINGS_GOOD_FOR_S = 1.0
"""So much later a worker hears of another pace."""


def spare_empty_looks(system: Any) -> None:
    """Put the question before the looks of a launched DBOS.

    Args:
        system: its system database, whose methods are replaced.
    """
    full_look, read_settings = system.start_queued_workflows, system.get_queue
    waits = _Waits(system)
    known: dict[str, tuple[float, Any]] = {}

    def look(queue: Any, *args: Any, **options: Any) -> Any:
        return full_look(queue, *args, **options) if waits.anything_in(queue.name) else ([], None)

    def settings(name: str, **options: Any) -> Any:
        read_at, found = known.get(name, (0.0, None))
        if found is None or options or time.monotonic() - read_at > SETTINGS_GOOD_FOR_S:
            found = read_settings(name, **options)
            known[name] = time.monotonic(), found
        return found

    system.start_queued_workflows = look
    system.get_queue = settings


class _Waits:
    """Whether a queue is empty, in one statement that is put together once."""

    def __init__(self, system: Any) -> None:
        self._engine: sa.Engine = system.engine
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
        with self._engine.connect() as connection:
            return connection.execute(self._question, {"queue": queue}).first() is not None
