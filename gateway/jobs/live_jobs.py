"""All live jobs in one look, for those who ask for many at a time: pollers and watchers share it.

While nobody has written to the database the last look still holds, whoever took it.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from gateway.jobs.job import JobStatus
from gateway.jobs.job_database import JobDatabase
from gateway.jobs.job_lookup import Change, marks
from gateway.jobs.job_rows import LIVE
from gateway.jobs.job_tables import jobs

A_FEW = 8
"""So many are asked for by their ids: the line may be a thousand jobs long."""
_LIVE_IN_TURN = (
    marks.add_columns(jobs.c.model)
    .where(LIVE)
    .order_by(jobs.c.status, jobs.c.model, jobs.c.rank, jobs.c.lap, jobs.c.seq)
)
_QUEUED = JobStatus.QUEUED.value
_Row = tuple[Any, ...]
"""Of `_LIVE_IN_TURN`."""


class Standing(NamedTuple):
    """How a job stands."""

    change: Change
    queue_position: int | None
    """How many jobs of its model wait before it; None when it does not wait."""


class LiveJobs:
    """The latest look of this process."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        """Guards what follows: of those who ask at a time, one reads."""
        self._mark: object = None
        self._rows: Mapping[_Row, Standing] = {}
        self._standings: Mapping[str, Standing] = {}

    def look(self, database: JobDatabase) -> Mapping[str, Standing]:
        """By id, as they are now; the same mapping as before when nothing has changed. Blocks.

        Raises:
            StoreUnavailableError: the database does not answer.
        """
        with self._turn:
            mark = database.mark()  # first: what is written during the look is found by the next
            if mark != self._mark:
                self._rows = _read(database, self._rows)
                self._standings = {row[0]: standing for row, standing in self._rows.items()}
                self._mark = mark
            return self._standings

    def of(self, database: JobDatabase, job_ids: Collection[str]) -> dict[str, Standing]:
        """Of these jobs those that are live, when they are more than a few; blocks."""
        if len(job_ids) <= A_FEW:
            return {}
        live = self.look(database)
        return {job_id: live[job_id] for job_id in job_ids if job_id in live}


def _read(database: JobDatabase, known: Mapping[_Row, Standing]) -> dict[_Row, Standing]:
    """All live jobs in their turn; what is made anew is how those stand that are not `known` so."""
    found: dict[_Row, Standing] = {}
    line, ahead = None, 0
    with database.glimpsing() as connection:
        rows = connection.execute(_LIVE_IN_TURN).all()
    for row in map(tuple, rows):
        _, events, status, ticket, attempts, model = row
        place = None
        if status == _QUEUED:
            place = ahead = ahead + 1 if model == line else 0
            line = model
        standing = known.get(row)
        if standing is None or standing.queue_position != place:
            standing = Standing(Change(events, JobStatus(status), ticket, attempts), place)
        found[row] = standing
    return found
