"""Features of pictures the network has seen, so that a second click costs no inference."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from preprocessing.fastsam import Instances


@dataclass(frozen=True)
class CachedInstances:
    """Instances of a picture and whether they were there already."""

    instances: Instances
    cached: bool


class FeatureCache:
    """Least recently used first out, bounded in bytes; one computation per key at a time."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._entries: OrderedDict[str, Instances] = OrderedDict()
        self.hits = 0
        self.misses = 0
        self._underway: dict[str, asyncio.Task[Instances]] = {}

    async def get(self, key: str, compute: Callable[[], Awaitable[Instances]]) -> CachedInstances:
        """The entry of `key`, computed once however many ask for it at the same time."""
        if key in self._entries:
            self.hits += 1
            self._entries.move_to_end(key)
            return CachedInstances(self._entries[key], cached=True)
        self.misses += 1
        task = self._underway.get(key)
        if task is None:
            task = asyncio.ensure_future(self._compute(key, compute))
            self._underway[key] = task
        # A caller that leaves must not take the others' computation along.
        return CachedInstances(await asyncio.shield(task), cached=False)

    async def _compute(self, key: str, compute: Callable[[], Awaitable[Instances]]) -> Instances:
        try:
            instances = await compute()
            self._keep(key, instances)
            return instances
        finally:
            del self._underway[key]

    def _keep(self, key: str, instances: Instances) -> None:
        self._entries[key] = instances
        self._bytes += _size(instances)
        while self._bytes > self._max_bytes and self._entries:
            _, dropped = self._entries.popitem(last=False)
            self._bytes -= _size(dropped)


def _size(instances: Instances) -> int:
    arrays = (instances.boxes, instances.scores, instances.coefficients, instances.prototypes)
    return sum(array.nbytes for array in arrays)
