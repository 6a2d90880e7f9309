"""Keys and limits of gateways that share a PostgreSQL."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.errors import RateLimitError
from gateway.keys.api_key import ApiKey, KeyScope
from gateway.keys.key_ring import KeyRing
from gateway.keys.key_store import KeyStore
from gateway.keys.rate_limits import RateLimits
from gateway.keys.setup import key_store
from gateway.settings import Settings
from tests.private_postgres import PrivatePostgres

GATEWAYS = 8


@pytest.fixture(scope="module")
def postgres() -> Iterator[PrivatePostgres]:
    server = PrivatePostgres()
    yield server
    server.stop()


async def test_a_key_made_at_one_gateway_opens_at_another(
    postgres: PrivatePostgres, tmp_path: Path
) -> None:
    database_url = postgres.url("keys")
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


@pytest.fixture(params=["sqlite", "postgres"])
def gateways(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[KeyStore]]:
    """Key stores of gateways that start together on a database without tables."""
    url = f"sqlite:///{tmp_path}/keys.db"
    if request.param == "postgres":
        server: PrivatePostgres = request.getfixturevalue("postgres")
        url = server.url(f"fresh_{os.urandom(4).hex()}")
    stores = [KeyStore(url) for _ in range(GATEWAYS)]
    yield stores
    for store in stores:
        store.close()


async def test_gateways_that_start_together_make_the_tables_of_keys_once(
    gateways: list[KeyStore],
) -> None:
    found = await asyncio.gather(*(asyncio.to_thread(store.any) for store in gateways))
    assert found == [False] * GATEWAYS


async def test_gateways_that_start_together_make_the_tables_of_limits_once(
    gateways: list[KeyStore],
) -> None:
    limits = [RateLimits.of("database", store) for store in gateways]
    key = ApiKey(
        id="a" * 12,
        name="a",
        scope=KeyScope.USE,
        salt=b"",
        hash=b"",
        created_at=0.0,
        requests_per_minute=GATEWAYS,
    )
    counted = [limit.count_request(key) for limit in limits]
    found = await asyncio.gather(*counted, *(asyncio.to_thread(store.any) for store in gateways))
    left = sorted(int(headers["x-ratelimit-remaining-requests"]) for headers in found[:GATEWAYS])
    assert left[0] == 0
    with pytest.raises(RateLimitError):
        await limits[0].count_request(key)
