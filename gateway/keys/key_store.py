"""Keys in the database."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import sqlalchemy as sql

from gateway.errors import NotFoundError
from gateway.keys.api_key import ApiKey, KeyScope, PresentedKey
from gateway.keys.lazy_tables import LazyTables

_TABLES = sql.MetaData()
_KEYS = sql.Table(
    "retouch_api_keys",
    _TABLES,
    sql.Column("id", sql.String(12), primary_key=True),
    sql.Column("name", sql.String(200), nullable=False),
    sql.Column("scope", sql.String(20), nullable=False),
    sql.Column("salt", sql.LargeBinary, nullable=False),
    sql.Column("hash", sql.LargeBinary, nullable=False),
    sql.Column("created_at", sql.Float, nullable=False),
    sql.Column("revoked_at", sql.Float),
    sql.Column("requests_per_minute", sql.Integer),
    sql.Column("megapixels_per_minute", sql.Float),
)


class KeyStore:
    """Makes, finds and revokes keys; every method blocks.

    Each may raise `StoreUnavailableError`.
    """

    def __init__(self, database_url: str) -> None:
        url = sql.make_url(database_url)
        if url.drivername in ("postgres", "postgresql"):
            url = url.set(drivername="postgresql+psycopg")
        # pre_ping: a restart of the server must not fail the next request.
        self.engine = sql.create_engine(url, pool_pre_ping=True)
        self._tables = LazyTables(self.engine, _TABLES)

    @classmethod
    def in_folder(cls, folder: Path) -> KeyStore:
        """Keys in a file of their own under `folder`."""
        folder.mkdir(parents=True, exist_ok=True)
        return cls(f"sqlite:///{folder / 'keys.db'}")

    def create(
        self,
        name: str,
        *,
        scope: KeyScope = KeyScope.USE,
        requests_per_minute: int | None = None,
        megapixels_per_minute: float | None = None,
    ) -> tuple[ApiKey, str]:
        """A new key, and the text to hand out: it cannot be had again."""
        presented = PresentedKey.new()
        salt = os.urandom(16)
        key = ApiKey(
            id=presented.id,
            name=name,
            scope=scope,
            salt=salt,
            hash=presented.hashed(salt),
            created_at=time.time(),
            requests_per_minute=requests_per_minute,
            megapixels_per_minute=megapixels_per_minute,
        )
        with self._tables.begin() as connection:
            connection.execute(_KEYS.insert().values(**asdict(key)))
        return key, presented.text

    def get(self, key_id: str) -> ApiKey | None:
        """A key by its id, revoked or not."""
        with self._tables.begin() as connection:
            row = connection.execute(_KEYS.select().where(_KEYS.c.id == key_id)).mappings().first()
        return _key(row) if row else None

    def all(self) -> list[ApiKey]:
        """All keys, oldest first."""
        with self._tables.begin() as connection:
            rows = connection.execute(_KEYS.select().order_by(_KEYS.c.created_at)).mappings().all()
        return [_key(row) for row in rows]

    def revoke(self, key_id: str) -> None:
        """Make a key useless; a second time changes nothing.

        Raises:
            NotFoundError: no such key.
        """
        if self.get(key_id) is None:
            raise NotFoundError(f"There is no key {key_id[:80]!r}.")
        statement = (
            _KEYS.update()
            .where(_KEYS.c.id == key_id, _KEYS.c.revoked_at.is_(None))
            .values(revoked_at=time.time())
        )
        with self._tables.begin() as connection:
            connection.execute(statement)

    def any(self) -> bool:
        """Whether there ever was a key: revoking the last one opens nothing."""
        with self._tables.begin() as connection:
            return connection.execute(sql.select(_KEYS.c.id).limit(1)).first() is not None

    def close(self) -> None:
        """Let go of connections."""
        self.engine.dispose()


def _key(row: Mapping[Any, Any]) -> ApiKey:
    return ApiKey(**{**row, "scope": KeyScope(row["scope"])})
