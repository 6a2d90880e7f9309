"""Many who poll and listen, in one process."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass

import httpx

POLL_EVERY_S = 1.0


@dataclass
class Crowd:
    """What the crowd saw."""

    polls: int = 0
    poll_errors: int = 0
    streams_open: int = 0
    stream_errors: int = 0

    async def poll(self, http: httpx.AsyncClient, job_id: str, delay_s: float) -> None:
        """Ask for a job again and again."""
        await asyncio.sleep(delay_s)
        while True:
            response = await http.get(f"/v1/jobs/{job_id}")
            self.polls += 1
            self.poll_errors += response.status_code != 200
            await asyncio.sleep(POLL_EVERY_S)

    async def listen(self, http: httpx.AsyncClient, job_id: str) -> None:
        """Read a job's events."""
        try:
            async with http.stream("GET", f"/v1/jobs/{job_id}/events") as response:
                self.streams_open += response.status_code == 200
                self.stream_errors += response.status_code != 200
                async for _ in response.aiter_bytes():
                    pass
        except httpx.HTTPError:
            self.stream_errors += 1


def gather_a_crowd(
    url: str, job_ids: list[str], pollers: int, streams: int, seconds: float
) -> Crowd:
    """Poll and listen for a while; runs in a process of its own."""
    crowd = Crowd()

    async def everybody() -> None:
        async with many_connections(url, pollers + streams) as http:
            tasks = [
                asyncio.create_task(crowd.listen(http, job_ids[n % len(job_ids)]))
                for n in range(streams)
            ]
            tasks += [
                asyncio.create_task(
                    crowd.poll(http, job_ids[n % len(job_ids)], POLL_EVERY_S * n / pollers)
                )
                for n in range(pollers)
            ]
            await asyncio.sleep(seconds)
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError):
                    await task

    asyncio.run(everybody())
    return crowd


def many_connections(url: str, connections: int) -> httpx.AsyncClient:
    """A client with room for so many at once."""
    limits = httpx.Limits(
        max_connections=connections + 8, max_keepalive_connections=connections + 8
    )
    return httpx.AsyncClient(base_url=url, limits=limits, timeout=30, trust_env=False)
