"""The database behind the job store: how it is opened, and what its failures mean."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from gateway.errors import ConflictError, StorageFullError, StoreUnavailableError
from gateway.jobs.database_mark import DatabaseMark
from gateway.jobs.job_tables import migrate

logger = logging.getLogger(__name__)
P = ParamSpec("P")
R = TypeVar("R")
_BUSY_TIMEOUT_S, _BUSY_PAUSE_S = 30.0, 0.01
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 2.0
_LOST_CONNECTION = (OperationalError, InterfaceError, PoolTimeoutError)


class JobDatabase:
    """An SQLite file in WAL mode, or PostgreSQL.

    Its methods block; `call` and `insist` take them off the event loop onto `executor`
    (without one they run where they are, which suits a database in memory).
    """

    def __init__(self, url: str, *, executor: Executor | None = None, pool_size: int = 8) -> None:
        self.url = url
        self.is_sqlite = sa.make_url(url).get_backend_name() == "sqlite"
        self._executor = executor
        self._engine = _open_sqlite(url) if self.is_sqlite else _open_postgres(url, pool_size)
        self._mark = DatabaseMark(self._engine)

    def prepare(self) -> None:
        """Make or update the tables.

        Raises:
            StoreUnavailableError: it cannot be reached.
            ConflictError: a newer release made it.
        """
        try:
            with self.writing() as connection:
                migrate(connection)
        except ValueError as error:
            raise ConflictError(f"The job database cannot be used: {error}.") from error

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """One consistent view."""
        with _translated(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def glimpsing(self) -> Iterator[sa.Connection]:
        """For statements that need no view in common: in SQLite each is one of its own."""
        with _translated(), self._engine.connect() as connection:
            yield connection.execution_options(retouch_glimpses=True)

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction, committed at the end."""
        with _translated(), self._engine.connect() as connection:
            connection = connection.execution_options(retouch_writes=True)
            with connection.begin():
                yield connection

    def mark(self) -> object:
        """Costs next to nothing; equal to an earlier one only if nobody has written since."""
        with _translated():
            return self._mark.read()

    async def call(
        self,
        work: Callable[Concatenate[JobDatabase, P], R],
        *args: P.args,
        **options: P.kwargs,
    ) -> R:
        """Run `work(self, ...)` off the event loop."""
        if self._executor is None:
            return work(self, *args, **options)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, lambda: work(self, *args, **options))

    async def insist(
        self,
        work: Callable[Concatenate[JobDatabase, P], R],
        *args: P.args,
        **options: P.kwargs,
    ) -> R:
        """Like `call`, again and again while the database is away: for what must not be lost."""
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                return await self.call(work, *args, **options)
            except (StoreUnavailableError, StorageFullError) as error:
                logger.warning("%s Trying again.", error.message, extra={"event": "store_retry"})
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def close(self) -> None:
        """Let go of connections."""
        self._mark.close()
        self._engine.dispose()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        text = str(error.orig)
        if "disk is full" in text or "No space left" in text:
            raise StorageFullError("The job database has no room left.") from error
        if isinstance(error, _LOST_CONNECTION) or error.connection_invalidated:
            raise StoreUnavailableError("The job database cannot be reached.") from error
        raise
    except PoolTimeoutError as error:
        raise StoreUnavailableError("The job database is too busy.") from error


def _open_postgres(url: str, pool_size: int) -> sa.Engine:
    chosen = sa.make_url(url)
    if chosen.drivername in ("postgres", "postgresql"):
        chosen = chosen.set(drivername="postgresql+psycopg")
    # pre_ping: connections that a restart of the server broke are replaced without an error.
    return sa.create_engine(
        chosen, pool_size=pool_size, pool_pre_ping=True, connect_args={"connect_timeout": 5}
    )


def _open_sqlite(url: str) -> sa.Engine:
    path = sa.make_url(url).database
    options: dict[str, Any] = {}
    if path in (None, "", ":memory:"):
        options["poolclass"] = sa.StaticPool
    else:
        Path(str(path)).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(
        url,
        connect_args={"timeout": _BUSY_TIMEOUT_S, "check_same_thread": False},
        **options,
    )
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun by `_begin_sqlite`
    # The engine does not set it; without it readers and the writer shut each other out.
    _switch_to_wal(connection)


def _switch_to_wal(connection: sqlite3.Connection) -> None:
    """Of many who open a new file at once one switches; the others SQLite does not let wait."""
    until = time.monotonic() + _BUSY_TIMEOUT_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                raise
            time.sleep(_BUSY_PAUSE_S)
        else:
            return


def _begin_sqlite(connection: sa.Connection) -> None:
    options = connection.get_execution_options()
    if options.get("retouch_glimpses"):
        return
    # A transaction that began by reading may find, when it writes, that it is too late.
    connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("retouch_writes") else "BEGIN")
