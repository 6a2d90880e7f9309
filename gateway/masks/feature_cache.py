"""What networks said of pictures they have seen, so that a second click costs no inference."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from gateway.storage.bounded_memory import BoundedMemory, HasBytes

T = TypeVar("T", bound=HasBytes)


@dataclass(frozen=True)
class Cached(Generic[T]):
    """An entry and whether it was there already."""

    value: T
    cached: bool


class FeatureCache:
    """Least recently used first out, bounded in bytes; one computation per key at a time."""

    def __init__(self, max_bytes: int) -> None:
        self._entries: BoundedMemory[Any] = BoundedMemory(max_bytes)
        self._underway: dict[str, asyncio.Task[Any]] = {}
        self.hits = 0
        self.misses = 0

    async def get(self, key: str, compute: Callable[[], Awaitable[T]]) -> Cached[T]:
        """The entry of `key`, computed once however many ask for it at the same time."""
        entry = self._entries.use(key)
        if entry is not None:
            self.hits += 1
            return Cached(entry, cached=True)
        self.misses += 1
        task = self._underway.get(key)
        if task is None:
            task = asyncio.ensure_future(self._compute(key, compute))
            self._underway[key] = task
        # A caller that leaves must not take the others' computation along.
        return Cached(await asyncio.shield(task), cached=False)

    async def _compute(self, key: str, compute: Callable[[], Awaitable[T]]) -> T:
        try:
            entry = await compute()
            self._entries.put(key, entry)
            return entry
        finally:
            del self._underway[key]
