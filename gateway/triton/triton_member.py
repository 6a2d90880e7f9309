"""One Triton of several: what it has at work, how its models answered, whether it is preferred."""

from __future__ import annotations

import asyncio
import itertools
import threading
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from enum import IntEnum

from gateway.errors import InferenceTimeoutError, RetouchError
from gateway.inference import InferenceBackend, ModelHealth

_turns = itertools.count()


class Standing(IntEnum):
    """How a member stands with a model; lower is asked first."""

    READY = 0
    """It answered its last canary."""
    SLOW = 1
    """It did not answer in time: at work on something long, or hanging."""
    UNKNOWN = 2
    """It was never asked."""
    EJECTED = 3
    """It failed; it is asked only where nobody else is left, until a canary is answered."""


class TritonMember:
    """A Triton at `url`; its counts may be changed in any thread."""

    def __init__(self, url: str, backend: InferenceBackend) -> None:
        self.url = url
        self.backend = backend
        self.leaving = False
        """Its address is gone: it gets nothing new, and may finish what it has."""
        self.health: dict[str, ModelHealth] = {}
        self._served: set[str] = set()
        self._lock = threading.Lock()  # guards the counts below
        self._outstanding: Counter[str] = Counter()
        self._last_turn = -1
        self._canaries: dict[str, asyncio.Task[ModelHealth]] = {}

    @property
    def outstanding(self) -> int:
        """Requests at work on it, of all models."""
        return self._outstanding.total()

    def serves(self, model: str) -> bool:
        """Whether the model ever answered here; Tritons of one pool may serve different models."""
        return model in self._served

    def standing(self, model: str) -> Standing:
        """How it stands with a model."""
        health = self.health.get(model)
        if health is None:
            return Standing.UNKNOWN
        if health.ready:
            return Standing.READY
        return Standing.SLOW if health.slow and self.serves(model) else Standing.EJECTED

    @contextmanager
    def at_work(self, model: str) -> Iterator[None]:
        """Count one request for as long as the context is open."""
        with self._lock:
            self._outstanding[model] += 1
            self._last_turn = next(_turns)
        try:
            yield
        finally:
            with self._lock:
                self._outstanding[model] -= 1

    def failed(self, model: str, error: RetouchError) -> None:
        """Take the model off until its next canary is answered."""
        slow = isinstance(error, InferenceTimeoutError)
        self.health[model] = ModelHealth(model, ready=False, detail=error.message, slow=slow)

    def canary(self, model: str, *, timeout_s: float) -> asyncio.Task[ModelHealth]:
        """The canary under way, or a new one; `health` has its answer afterwards."""
        task = self._canaries.get(model)
        if task is None:
            task = asyncio.create_task(self._ask(model, timeout_s))
            self._canaries[model] = task
        return task

    async def close(self) -> None:
        """Let go of the connection and of canaries under way."""
        tasks = list(self._canaries.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.backend.close()

    async def _ask(self, model: str, timeout_s: float) -> ModelHealth:
        try:
            health = await self.backend.check(model, timeout_s=timeout_s)
        finally:
            del self._canaries[model]
        if health.ready:
            self._served.add(model)
        self.health[model] = health
        return health

    def rank(self, model: str, affinity: bytes | None) -> tuple[int, int, int, int]:
        """The lowest is asked: first by standing, then by what it has at work.

        Among equals the same `affinity` always finds the same member, without one they take turns.
        """
        preferred = self._last_turn
        if affinity is not None:
            preferred = -zlib.crc32(self.url.encode() + affinity)  # rendezvous hashing
        return self.standing(model), self._outstanding[model], self.outstanding, preferred


def choose(
    members: Iterable[TritonMember],
    model: str,
    *,
    affinity: bytes | None = None,
    without: Collection[str] = (),
) -> TritonMember | None:
    """The member that should work for `model`; None where all are `without`."""
    candidates = [m for m in members if m.url not in without and not m.leaving]
    return min(candidates, key=lambda member: member.rank(model, affinity), default=None)
