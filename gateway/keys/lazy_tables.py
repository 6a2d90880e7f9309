"""Tables in the keys' database, made at first use: a start waits for nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sql
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.schema import CreateTable

from gateway.errors import StoreUnavailableError

_MAKING_LOCK = 7236553
"""PostgreSQL's advisory lock between those who make tables of the keys' database."""


class LazyTables:
    """Transactions on some tables that may not be there yet."""

    def __init__(self, engine: sql.Engine, tables: sql.MetaData) -> None:
        self._engine = engine
        self._tables = tables
        self._there = False
        self._making = threading.Lock()
        """Guards the making of the tables."""

    @contextmanager
    def begin(self) -> Iterator[sql.Connection]:
        """A transaction.

        Raises:
            StoreUnavailableError: the database cannot be reached.
        """
        try:
            self._make()
            with self._engine.begin() as connection:
                yield connection
        except (OperationalError, InterfaceError, PoolTimeoutError) as error:
            raise StoreUnavailableError("The database of the keys cannot be reached.") from error

    def _make(self) -> None:
        with self._making:
            if self._there:
                return
            with self._engine.begin() as connection:
                if connection.dialect.name == "postgresql":
                    # Two that start together take turns: there IF NOT EXISTS alone may fail.
                    connection.execute(sql.text(f"SELECT pg_advisory_xact_lock({_MAKING_LOCK})"))
                for table in self._tables.sorted_tables:
                    connection.execute(CreateTable(table, if_not_exists=True))
            self._there = True
