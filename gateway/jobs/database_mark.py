"""Tells for next to nothing that nobody has changed a database: this process or another.

SQLite counts for each connection what others have committed since (`PRAGMA data_version`).
PostgreSQL names the transactions that a look would see; the name is another one after each commit.
"""

from __future__ import annotations

import threading

import sqlalchemy as sa

_SNAPSHOT = sa.text("SELECT CAST(pg_current_snapshot() AS text)")
_VERSION = "PRAGMA data_version"


class DatabaseMark:
    """Reads the mark of one database; for use in threads."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._in_use = threading.Lock()
        """Guards `_kept`."""
        self._kept: sa.Connection | None = None
        """SQLite's counts of two connections cannot be compared."""

    def read(self) -> object:
        """Equal to an earlier one only if nothing was committed in between; blocks."""
        if self._engine.dialect.name == "postgresql":
            with self._engine.connect() as connection:
                return connection.execute(_SNAPSHOT).scalar_one()
        if isinstance(self._engine.pool, sa.StaticPool):  # in memory: there are no others
            return object()
        with self._in_use:
            if self._kept is None:
                self._kept = self._engine.connect().execution_options(retouch_glimpses=True)
            try:
                return self._kept, self._kept.exec_driver_sql(_VERSION).scalar_one()
            except Exception:
                self._let_go()
                raise

    def close(self) -> None:
        """Let go of the connection."""
        with self._in_use:
            self._let_go()

    def _let_go(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None
