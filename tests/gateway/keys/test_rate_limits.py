"""Counting by key: alone, in the database with others, and window by window."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import RateLimitError, StoreUnavailableError
from gateway.keys import limit_storage
from gateway.keys.api_key import ApiKey
from gateway.keys.key_store import KeyStore
from gateway.keys.rate_limits import RateLimits


@pytest.fixture
def store(tmp_path: Path) -> Iterator[KeyStore]:
    made = KeyStore.in_folder(tmp_path)
    yield made
    made.close()


@pytest.fixture
def key(store: KeyStore) -> ApiKey:
    return store.create("a", requests_per_minute=20, megapixels_per_minute=1.0)[0]


@pytest.fixture(params=["async+memory://", "database"])
def limits(request: pytest.FixtureRequest, store: KeyStore) -> RateLimits:
    return RateLimits.of(request.param, store)


async def refused(count: Callable[[], object]) -> RateLimitError:
    with pytest.raises(RateLimitError) as caught:
        await count()  # type: ignore[misc]
    return caught.value


async def test_requests_up_to_the_limit(limits: RateLimits, key: ApiKey) -> None:
    for left in range(19, -1, -1):
        headers = await limits.count_request(key)
        assert headers["x-ratelimit-remaining-requests"] == str(left)
    error = await refused(lambda: limits.count_request(key))
    assert 0 < int(error.headers["Retry-After"]) <= 60
    other = replace(key, id="b" * 12)
    assert await limits.count_request(other)


async def test_what_is_refused_uses_nothing_up(limits: RateLimits, key: ApiKey) -> None:
    await limits.count_pixels(key, 600_000)
    await refused(lambda: limits.count_pixels(key, 500_000))
    await limits.count_pixels(key, 400_000)
    await refused(lambda: limits.count_pixels(key, 1))


async def test_two_gateways_count_together_in_the_database(tmp_path: Path, key: ApiKey) -> None:
    stores = [KeyStore.in_folder(tmp_path) for _ in range(2)]
    both = [RateLimits.of("database", store) for store in stores]
    answers = await asyncio.gather(
        *(both[n % 2].count_request(key) for n in range(40)), return_exceptions=True
    )
    for store in stores:
        store.close()
    assert sum(isinstance(answer, dict) for answer in answers) == 20
    assert all(isinstance(answer, dict | RateLimitError) for answer in answers)


async def test_a_new_minute_begins_anew(
    store: KeyStore, key: ApiKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = RateLimits.of("database", store)
    await limits.count_pixels(key, 1_000_000)
    await refused(lambda: limits.count_pixels(key, 1))
    later = time.time() + 61
    monkeypatch.setattr(limit_storage.time, "time", lambda: later)
    await limits.count_pixels(key, 1_000_000)


async def test_counts_can_be_forgotten(store: KeyStore) -> None:
    storage = limit_storage.DatabaseStorage(store.engine)
    assert await storage.check()
    assert [await storage.incr("k", 60), await storage.incr("k", 60, 4)] == [1, 5]
    await storage.clear("k")
    assert await storage.get("k") == 0
    await storage.incr("k", 60)
    assert await storage.reset() == 1


async def test_a_key_without_limits_is_not_counted(limits: RateLimits, store: KeyStore) -> None:
    free = store.create("b")[0]
    assert await limits.count_request(free) == {}
    await limits.count_pixels(free, 10**12)


async def test_a_start_does_not_wait_for_the_database_and_a_count_says_that_it_is_away(
    tmp_path: Path, key: ApiKey
) -> None:
    folder = tmp_path / "away"
    store = KeyStore(f"sqlite:///{folder / 'keys.db'}")
    limits = RateLimits.of("database", store)
    with pytest.raises(StoreUnavailableError, match="cannot be reached"):
        await limits.count_request(key)
    folder.mkdir()
    assert await limits.count_request(key)
    store.close()
