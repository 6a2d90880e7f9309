"""Which stored pictures are being removed: what a sweep and those who need a picture agree on.

A sweep dooms a picture in the transaction in which no job refers to it. From then on no job can:
`job_submission` looks, under the same lock. An upload writes first and looks then; the sweep
dooms first and looks at what was written then: one of them sees the other.
"""

from __future__ import annotations

import asyncio
import time
from enum import Enum, auto

import sqlalchemy as sa

from gateway.errors import StoreUnavailableError
from gateway.job import JobStatus
from gateway.job_database import JobDatabase
from gateway.job_submission import FILES_LOCK
from gateway.job_tables import doomed_files, files, jobs

SWEEP_AT_MOST_S = 60.0
"""A sweep that has not removed a picture by then leaves it."""
_ABANDONED_AFTER_S = 5 * SWEEP_AT_MOST_S
_REMEMBER_S = 900.0
"""A request that saw a picture just before it was removed has submitted its job by then."""
_LOOK_S = 0.05


class Removal(Enum):
    """How far the removal of a picture is."""

    NONE = auto()
    UNDER_WAY = auto()
    DONE = auto()


class FileRemovals:
    """The removals of all sweeps on one database."""

    def __init__(self, database: JobDatabase) -> None:
        self._database = database

    async def doom(self, file_id: str) -> bool:
        """Whether it is now the caller's to remove: no job refers to it, no other sweep has it."""
        return await self._database.call(_doom, file_id)

    async def oldest_work(self) -> float | None:
        """When the running job that began first did; what it made since is not in its row yet."""
        return await self._database.call(_oldest_work)

    async def spare(self, file_id: str) -> None:
        """It stays after all, or came back."""
        await self._database.call(_forget, file_id)

    async def note_removed(self, file_id: str) -> None:
        """It is gone."""
        await self._database.call(_note_removed, file_id)

    async def tidy(self) -> None:
        """Forget removals of long ago, and those whose process died at them."""
        await self._database.call(_tidy)

    async def settled(self, file_id: str) -> Removal:
        """NONE or DONE, after a removal that is under way has ended.

        Raises:
            StoreUnavailableError: it took too long.
        """
        deadline = time.monotonic() + SWEEP_AT_MOST_S
        while time.monotonic() < deadline:
            found = await self._database.call(_state, file_id)
            if found is not Removal.UNDER_WAY:
                return found
            await asyncio.sleep(_LOOK_S)
        raise StoreUnavailableError(f"File {file_id} is being removed; send it again later.")


def _doom(database: JobDatabase, file_id: str) -> bool:
    needed = sa.select(files.c.job_id).where(files.c.file_id == file_id).limit(1)
    taken = sa.select(doomed_files.c.file_id).where(doomed_files.c.file_id == file_id)
    with database.writing() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({FILES_LOCK})"))
        if any(connection.execute(query).first() for query in (needed, taken)):
            return False
        connection.execute(doomed_files.insert().values(file_id=file_id, doomed_at=time.time()))
        return True


def _oldest_work(database: JobDatabase) -> float | None:
    running = jobs.c.status == JobStatus.RUNNING.value
    with database.reading() as connection:
        started = connection.execute(sa.select(sa.func.min(jobs.c.started_at)).where(running))
        return started.scalar()


def _forget(database: JobDatabase, file_id: str) -> None:
    with database.writing() as connection:
        connection.execute(doomed_files.delete().where(doomed_files.c.file_id == file_id))


def _note_removed(database: JobDatabase, file_id: str) -> None:
    mine = doomed_files.c.file_id == file_id
    with database.writing() as connection:
        connection.execute(sa.update(doomed_files).where(mine).values(removed_at=time.time()))


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


def _state(database: JobDatabase, file_id: str) -> Removal:
    mine = doomed_files.c.file_id == file_id
    with database.reading() as connection:
        row = connection.execute(sa.select(doomed_files.c.removed_at).where(mine)).first()
    if row is None:
        return Removal.NONE
    return Removal.UNDER_WAY if row.removed_at is None else Removal.DONE
