"""Keys and limits of gateways that share a PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.keys.key_ring import KeyRing
from gateway.keys.rate_limits import RateLimits
from gateway.keys.setup import key_store
from gateway.settings import Settings
from tests.private_postgres import PrivatePostgres


@pytest.fixture(scope="module")
def database_url() -> Iterator[str]:
    server = PrivatePostgres()
    yield server.url("keys")
    server.stop()


async def test_a_key_made_at_one_gateway_opens_at_another(
    database_url: str, tmp_path: Path
) -> None:
    stores = [
        key_store(Settings(data_dir=tmp_path / name, database_url=database_url))
        for name in ("one", "two")
    ]
    key, text = stores[0].create("a", requests_per_minute=20)
    assert (await KeyRing(stores[1], always_required=True).check(text)).id == key.id
    both = [RateLimits.of("database", store) for store in stores]
    answers = await asyncio.gather(
        *(both[n % 2].count_request(key) for n in range(40)), return_exceptions=True
    )
    assert sum(isinstance(answer, dict) for answer in answers) == 20
    stores[1].revoke(key.id)
    assert stores[0].all()[0].is_revoked
    for store in stores:
        store.close()


async def test_gateways_that_start_together_make_the_tables_once(tmp_path: Path) -> None:
    server = PrivatePostgres()
    try:
        url = server.url("fresh")
        stores = [
            key_store(Settings(data_dir=tmp_path / str(n), database_url=url)) for n in range(6)
        ]
        found = await asyncio.gather(*(asyncio.to_thread(store.any) for store in stores))
        assert found == [False] * 6
        for store in stores:
            store.close()
    finally:
        server.stop()
