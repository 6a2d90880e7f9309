"""Clicks for a while by many at once: on a known picture, or each on a picture never seen."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx

from benchmarks.workloads.clicks import new_pictures, photograph

CLICK = (256, 200)
SIDE = 512
NEW_A_SECOND = 150
"""Pictures made before the clock runs, for each second: more than can be answered."""
_AT_HAND: list[bytes] = []


@dataclass(frozen=True)
class Clicking:
    """What the mask clients saw in one round."""

    latencies_s: list[float]
    wall_s: float
    errors: int
    processor_s: float
    """Of the clients' own process."""


def click(url: str, file_id: str | None, clients: int, seconds: float) -> Clicking:
    """Masks by `clients` at once, for a while; runs in a process of its own.

    Args:
        file_id: the picture; None: one of `make_pictures` for each click.
    """
    requests = _known(file_id) if file_id else _uploads()

    async def one(http: httpx.AsyncClient, until: float) -> tuple[list[float], int]:
        latencies, errors = [], 0
        while time.perf_counter() < until:
            request = next(requests)
            started = time.perf_counter()
            response = await http.post("/v1/masks", **request)
            latencies.append(time.perf_counter() - started)
            errors += response.status_code != 200
        return latencies, errors

    async def all_of_them() -> Clicking:
        async with httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as http:
            started, used = time.perf_counter(), time.process_time()
            done = await asyncio.gather(*(one(http, started + seconds) for _ in range(clients)))
            wall_s = time.perf_counter() - started
        latencies = [latency for some, _ in done for latency in some]
        errors = sum(errors for _, errors in done)
        return Clicking(latencies, wall_s, errors, time.process_time() - used)

    return asyncio.run(all_of_them())


def make_pictures(count: int) -> None:
    """Have pictures at hand that nobody has seen, in the process that clicks."""
    _AT_HAND[:] = itertools.islice(_never_seen(), count)


@cache
def _never_seen() -> Iterator[bytes]:
    return new_pictures(photograph("astronaut", SIDE), CLICK)


def _known(file_id: str) -> Iterator[dict[str, Any]]:
    return itertools.repeat({"json": {"image": file_id, "prompts": [{"points": [CLICK]}]}})


def _uploads() -> Iterator[dict[str, Any]]:
    prompts = json.dumps([{"points": [CLICK]}])
    for picture in _AT_HAND:
        yield {"data": {"prompts": prompts}, "files": {"image": ("picture.jpg", picture)}}
