"""Whether there is a key at all is asked once for all who come at a time."""

from __future__ import annotations

import asyncio
from pathlib import Path

from gateway.errors import StoreUnavailableError
from gateway.keys.key_ring import KeyRing
from gateway.keys.key_store import KeyStore


class CountedStore(KeyStore):
    """Counts the questions, and fails when told to."""

    asked = 0
    fails = False

    def any(self) -> bool:
        self.asked += 1
        if self.fails:
            raise StoreUnavailableError("The database of the keys cannot be reached.")
        return super().any()


async def test_of_many_who_come_at_a_time_one_asks(tmp_path: Path) -> None:
    store = CountedStore.in_folder(tmp_path)
    assert isinstance(store, CountedStore)
    ring = KeyRing(store, always_required=False)
    gone, *stay = (asyncio.create_task(ring.required()) for _ in range(20))
    await asyncio.sleep(0)
    gone.cancel()
    assert await asyncio.gather(*stay) == [False] * 19
    assert store.asked == 1
    store.close()


async def test_all_who_asked_are_told_that_the_store_is_away(tmp_path: Path) -> None:
    store = CountedStore.in_folder(tmp_path)
    assert isinstance(store, CountedStore)
    store.fails = True
    ring = KeyRing(store, always_required=False)
    said = await asyncio.gather(*(ring.required() for _ in range(5)), return_exceptions=True)
    assert [type(error) for error in said] == [StoreUnavailableError] * 5
    assert store.asked == 1
    store.fails = False
    assert await ring.required() is False
    store.close()
