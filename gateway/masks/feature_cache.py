"""What networks said of pictures they have seen, so that a second click costs no inference."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar


class HasBytes(Protocol):
    """Knows how much memory it holds; instances and arrays do."""

    @property
    def nbytes(self) -> int:
        """Bytes."""
        ...


T = TypeVar("T", bound=HasBytes)


@dataclass(frozen=True)
class Cached(Generic[T]):
    """An entry and whether it was there already."""

    value: T
    cached: bool


class FeatureCache:
    """Least recently used first out, bounded in bytes; one computation per key at a time."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._entries: OrderedDict[str, Any] = OrderedDict()
        self._underway: dict[str, asyncio.Task[Any]] = {}
        self.hits = 0
        self.misses = 0

    async def get(self, key: str, compute: Callable[[], Awaitable[T]]) -> Cached[T]:
        """The entry of `key`, computed once however many ask for it at the same time."""
        if key in self._entries:
            self.hits += 1
            self._entries.move_to_end(key)
            return Cached(self._entries[key], cached=True)
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
            self._keep(key, entry)
            return entry
        finally:
            del self._underway[key]

    def _keep(self, key: str, entry: HasBytes) -> None:
        self._entries[key] = entry
        self._bytes += entry.nbytes
        while self._bytes > self._max_bytes and self._entries:
            _, dropped = self._entries.popitem(last=False)
            self._bytes -= dropped.nbytes
