"""Load that does not wait for answers: people click when they click.

Arrivals are a Poisson process. A latency counts from when the request was due, not from when the
driver got to send it, so that a stalled server cannot hide behind the requests it held up.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.reporting.figures import percentile


@dataclass(frozen=True)
class Arrival:
    """A request that is due `at_s` after the start."""

    at_s: float
    kind: str


@dataclass(frozen=True)
class Served:
    """What became of an arrival."""

    kind: str
    latency_s: float
    ok: bool


@dataclass(frozen=True, kw_only=True)
class KindFigures:
    """One kind of request in one run; latencies of those that were answered well."""

    kind: str
    offered: int
    failed: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    within: float
    """Share of all offered requests that were answered well within the objective."""


Send = Callable[[str], Awaitable[bool]]
"""Sends one request of a kind; whether it was answered well."""


def poisson_arrivals(
    per_s: float, duration_s: float, mix: Mapping[str, float], *, seed: int
) -> list[Arrival]:
    """Arrivals of a Poisson process, each of a kind drawn by the weights of `mix`."""
    draw = random.Random(seed)
    kinds, weights = list(mix), list(mix.values())
    arrivals, at = [], draw.expovariate(per_s)
    while at < duration_s:
        arrivals.append(Arrival(at, draw.choices(kinds, weights)[0]))
        at += draw.expovariate(per_s)
    return arrivals


async def offer(arrivals: Sequence[Arrival], send: Send) -> list[Served]:
    """Send every request when it is due, whatever became of those before; wait for all."""
    started = time.perf_counter()

    async def one(arrival: Arrival) -> Served:
        ok = await send(arrival.kind)
        return Served(arrival.kind, time.perf_counter() - started - arrival.at_s, ok)

    tasks = []
    for arrival in arrivals:
        await asyncio.sleep(max(0.0, started + arrival.at_s - time.perf_counter()))
        tasks.append(asyncio.create_task(one(arrival)))
    return await asyncio.gather(*tasks)


def figures_of(served: Sequence[Served], objectives_s: Mapping[str, float]) -> list[KindFigures]:
    """Figures by kind, for the kinds that were offered, in the objectives' order."""
    found = []
    for kind, objective in objectives_s.items():
        mine = [entry for entry in served if entry.kind == kind]
        if not mine:
            continue
        good = [entry.latency_s for entry in mine if entry.ok]
        p50, p95, p99 = (percentile(good, p) * 1000 if good else 0.0 for p in (50, 95, 99))
        found.append(
            KindFigures(
                kind=kind,
                offered=len(mine),
                failed=len(mine) - len(good),
                p50_ms=p50,
                p95_ms=p95,
                p99_ms=p99,
                within=sum(latency <= objective for latency in good) / len(mine),
            )
        )
    return found


def goodput_per_s(
    served: Sequence[Served], objectives_s: Mapping[str, float], duration_s: float
) -> float:
    """Requests a second that were answered well within their kind's objective."""
    good = [entry for entry in served if entry.ok and entry.latency_s <= objectives_s[entry.kind]]
    return len(good) / duration_s
