"""Which stored pictures are being removed: what removers and those who need a picture agree on.

Whoever removes a picture dooms it first, in a transaction in which no job needs it: a sweep if no
job refers to it at all, its owner if none that has not ended does. From then on no job can:
`job_submission` looks, under the same lock. An upload writes first and looks then; a removal
dooms first and looks at what was written then: one of them sees the other.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import sqlalchemy as sa

from gateway.errors import FileInUseError, RetouchError, StoreUnavailableError
from gateway.jobs.job import JobStatus
from gateway.jobs.job_database import JobDatabase
from gateway.jobs.job_rows import LIVE, doomed_among, mark_of
from gateway.jobs.job_submission import FILES_LOCK
from gateway.jobs.job_tables import doomed_files, files, jobs

SWEEP_AT_MOST_S = 60.0
"""A removal that has not ended by then leaves the picture."""
_ABANDONED_AFTER_S = 5 * SWEEP_AT_MOST_S
_REMEMBER_S = 900.0
"""A request that saw a picture just before it was removed has submitted its job by then."""
_LOOK_S = 0.05
_ANY = f"SELECT file_id FROM {doomed_files.name} LIMIT 1"  # noqa: S608
"""Plain text: every click asks it, nearly always in vain, and it costs less than `doomed_among`."""


class FileRemovals:
    """The removals of all sweeps and owners on one database."""

    def __init__(self, database: JobDatabase) -> None:
        self._database = database
        self._none_at: object = None
        """The database's mark when there were no removals at all."""

    async def doom(self, file_id: str) -> bool:
        """Whether it is now the caller's to remove: no job refers to it, nobody else has it."""
        return await self._database.call(_doom, file_id)

    async def doom_unneeded(self, file_id: str) -> bool:
        """Like `doom`; but only jobs that have not ended count."""
        return await self._database.call(_doom, file_id, LIVE)

    @asynccontextmanager
    async def withdrawn(self, file_id: str, owner: str) -> AsyncIterator[bool]:
        """Nobody can begin to need it; for an owner alone, nobody of that owner.

        Gives whether it is the caller's to remove; if not, another one was at it until now.

        Raises:
            FileInUseError: a job needs it.
            StoreUnavailableError: this removal, or the other one, takes too long.
        """
        mark = mark_of(file_id, owner)
        if not await self._database.call(_withdraw, file_id, owner):
            await self.settled(file_id, owner)
            yield False
            return
        try:
            async with asyncio.timeout(SWEEP_AT_MOST_S):
                yield True
        except TimeoutError:
            raise StoreUnavailableError(f"File {file_id} cannot be removed now.") from None
        finally:
            # Also when only part of it is gone: whoever uploads it writes what is missing.
            with contextlib.suppress(RetouchError):
                await self.note_removed(mark)

    async def oldest_work(self) -> float | None:
        """When the running job that began first did; what it made since is not in its row yet."""
        return await self._database.call(_oldest_work)

    async def spare(self, file_id: str) -> None:
        """It stays after all, as far as the caller's own removal goes."""
        await self._database.call(_forget, file_id)

    async def note_removed(self, mark: str) -> None:
        """It is gone."""
        await self._database.call(_note_removed, mark)

    async def note_back(self, done: dict[str, float]) -> bool:
        """It came back after these removals; False when one has begun anew since."""
        return await self._database.call(_note_back, done)

    async def tidy(self) -> None:
        """Forget removals of long ago, and those whose process died at them."""
        await self._database.call(_tidy)

    def look(self, file_ids: Sequence[str], owner: str = "") -> frozenset[str]:
        """Those of which a removal, or one of this owner's share, is under way or done; blocks."""
        at = self._database.mark() if self._database.is_sqlite else None  # before the look
        if at is not None and at == self._none_at:
            return frozenset()
        marks = {mark: one for one in file_ids for mark in (one, mark_of(one, owner))}
        known = _known(self._database, list(marks))
        self._none_at = at if known is None else None
        return frozenset(marks[found] for found in known or ())

    async def settled(self, file_id: str, owner: str = "") -> dict[str, float]:
        """Removals of a file, and of this owner's share, that are done; waits for those under way.

        By their marks, with the times at which they began.

        Raises:
            StoreUnavailableError: it took too long.
        """
        deadline = time.monotonic() + SWEEP_AT_MOST_S
        while time.monotonic() < deadline:
            found = await self._database.call(_state, {file_id, mark_of(file_id, owner)})
            if found is not None:
                return found
            await asyncio.sleep(_LOOK_S)
        raise StoreUnavailableError(f"File {file_id} is being removed; send it again later.")


def _doom(
    database: JobDatabase, file_id: str, which_jobs: sa.ColumnElement[bool] | None = None
) -> bool:
    taken = sa.select(doomed_files.c.file_id).where(doomed_files.c.file_id == file_id)
    with database.writing() as connection:
        _take_turns(connection)
        if _needed_by(connection, file_id, which_jobs) or connection.execute(taken).first():
            return False
        connection.execute(doomed_files.insert().values(file_id=file_id, doomed_at=time.time()))
        return True


def _withdraw(database: JobDatabase, file_id: str, owner: str) -> bool:
    """Whether it is now the caller's to remove; if not, another one is at it.

    Raises:
        FileInUseError: a job needs it.
    """
    mine = doomed_files.c.file_id == mark_of(file_id, owner)
    which = LIVE & (jobs.c.owner == owner) if owner else LIVE
    values = {"file_id": mark_of(file_id, owner), "doomed_at": time.time()}
    anew = sa.update(doomed_files).where(mine, doomed_files.c.removed_at.is_not(None))
    with database.writing() as connection:
        _take_turns(connection)
        if job_id := _needed_by(connection, file_id, which):
            raise FileInUseError(file_id, job_id)
        if connection.execute(anew.values(**values, removed_at=None)).rowcount:
            return True
        if connection.execute(sa.select(doomed_files.c.file_id).where(mine)).first():
            return False
        connection.execute(doomed_files.insert().values(values))
        return True


def _take_turns(connection: sa.Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({FILES_LOCK})"))


def _needed_by(
    connection: sa.Connection, file_id: str, which_jobs: sa.ColumnElement[bool] | None
) -> str | None:
    query = sa.select(files.c.job_id).where(files.c.file_id == file_id)
    if which_jobs is not None:
        query = query.join(jobs, jobs.c.id == files.c.job_id).where(which_jobs)
    job_id: str | None = connection.execute(query.limit(1)).scalar()
    return job_id


def _oldest_work(database: JobDatabase) -> float | None:
    running = jobs.c.status == JobStatus.RUNNING.value
    with database.reading() as connection:
        started = connection.execute(sa.select(sa.func.min(jobs.c.started_at)).where(running))
        return started.scalar()


def _forget(database: JobDatabase, mark: str) -> None:
    with database.writing() as connection:
        connection.execute(doomed_files.delete().where(doomed_files.c.file_id == mark))


def _note_removed(database: JobDatabase, mark: str) -> None:
    mine = doomed_files.c.file_id == mark
    with database.writing() as connection:
        connection.execute(sa.update(doomed_files).where(mine).values(removed_at=time.time()))


def _note_back(database: JobDatabase, done: dict[str, float]) -> bool:
    with database.writing() as connection:
        for mark, doomed_at in done.items():
            same = (doomed_files.c.file_id == mark) & (doomed_files.c.doomed_at == doomed_at)
            connection.execute(
                doomed_files.delete().where(same, doomed_files.c.removed_at.is_not(None))
            )
        left = sa.select(doomed_files.c.file_id).where(doomed_files.c.file_id.in_(list(done)))
        return connection.execute(left).first() is None


def _tidy(database: JobDatabase) -> None:
    now = time.time()
    past = doomed_files.c.removed_at < now - _REMEMBER_S
    abandoned = doomed_files.c.removed_at.is_(None) & (
        doomed_files.c.doomed_at < now - _ABANDONED_AFTER_S
    )
    with database.writing() as connection:
        connection.execute(doomed_files.delete().where(past))
        # Part of it may be gone: whoever uploads it writes what is missing.
        connection.execute(sa.update(doomed_files).where(abandoned).values(removed_at=now))


def _known(database: JobDatabase, marks: Sequence[str]) -> Sequence[str] | None:
    """Those of the marks that are there; None: no mark is."""
    with database.glimpsing() as connection:
        if connection.exec_driver_sql(_ANY).first() is None:
            return None
        return connection.scalars(doomed_among, {"marks": marks}).all()


def _state(database: JobDatabase, marks: set[str]) -> dict[str, float] | None:
    """When removals that are done began; None: one is under way."""
    with database.reading() as connection:
        rows = connection.execute(
            sa.select(doomed_files).where(doomed_files.c.file_id.in_(list(marks)))
        ).all()
    if any(row.removed_at is None for row in rows):
        return None
    return {row.file_id: row.doomed_at for row in rows}
