"""Counters of limits in the keys' database, so that several gateways count together."""

from __future__ import annotations

import asyncio
import time

import sqlalchemy as sql
from limits.aio.storage import Storage

from gateway.errors import StoreUnavailableError
from gateway.keys.lazy_tables import LazyTables

_TABLES = sql.MetaData()
_COUNTERS = sql.Table(
    "retouch_rate_limits",
    _TABLES,
    sql.Column("key", sql.String(300), primary_key=True),
    sql.Column("count", sql.BigInteger, nullable=False),
    sql.Column("expires_at", sql.Float, nullable=False),
)
# One statement, so that two gateways never read the same count; SQLite and PostgreSQL know it.
_INCREMENT = sql.text(
    "INSERT INTO retouch_rate_limits (key, count, expires_at) VALUES (:key, :amount, :until) "
    "ON CONFLICT (key) DO UPDATE SET "
    "count = CASE WHEN retouch_rate_limits.expires_at <= :now THEN :amount "
    "ELSE retouch_rate_limits.count + :amount END, "
    "expires_at = CASE WHEN retouch_rate_limits.expires_at <= :now THEN :until "
    "ELSE retouch_rate_limits.expires_at END "
    "RETURNING count"
)


class DatabaseStorage(Storage):
    """A storage of the `limits` library for fixed windows."""

    STORAGE_SCHEME = None

    def __init__(self, engine: sql.Engine) -> None:
        super().__init__()
        self._tables = LazyTables(engine, _TABLES)

    @property
    def base_exceptions(self) -> type[Exception]:
        """What every method raises while the database is away."""
        return StoreUnavailableError

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count `amount` in a window of `expiry` seconds; the count after it."""
        now = time.time()
        values = {"key": key, "amount": amount, "now": now, "until": now + expiry}
        return await asyncio.to_thread(self._increment, values)

    def _increment(self, values: dict[str, object]) -> int:
        with self._tables.begin() as connection:
            return int(connection.execute(_INCREMENT, values).scalar_one())

    async def get(self, key: str) -> int:
        """The count; 0 when its window is over."""
        count, expires_at = await asyncio.to_thread(self._read, key)
        return count if expires_at > time.time() else 0

    async def get_expiry(self, key: str) -> float:
        """When its window ends, in seconds since the epoch."""
        return (await asyncio.to_thread(self._read, key))[1]

    def _read(self, key: str) -> tuple[int, float]:
        query = sql.select(_COUNTERS.c.count, _COUNTERS.c.expires_at).where(_COUNTERS.c.key == key)
        with self._tables.begin() as connection:
            row = connection.execute(query).first()
        return (int(row[0]), float(row[1])) if row else (0, time.time())

    async def check(self) -> bool:
        """Whether the database answers."""
        await self.get("")
        return True

    async def reset(self) -> int:
        """Forget all counts; how many there were."""
        return await asyncio.to_thread(self._delete, None)

    async def clear(self, key: str) -> None:
        """Forget one count."""
        await asyncio.to_thread(self._delete, key)

    def _delete(self, key: str | None) -> int:
        statement = _COUNTERS.delete()
        if key is not None:
            statement = statement.where(_COUNTERS.c.key == key)
        with self._tables.begin() as connection:
            return connection.execute(statement).rowcount
