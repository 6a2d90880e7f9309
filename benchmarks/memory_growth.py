"""Whether the gateway's memory stays flat: 10,000 requests of all kinds, its memory in between.

    python -m benchmarks.memory_growth [--requests 10000] [--clients 8] [--output memory.md]

Clicks on a picture that the network knows and on new ones, uploads, jobs that are painted, polls,
event streams, pictures fetched, and requests that are refused. Caches are set small, so that they
are full when the counting begins; what grows behind that would grow for ever. A pause before each
reading lets work end that was begun.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx

from benchmarks.reporting.machine import Machine, describe
from benchmarks.reporting.options import add_output_option, positive, recorded
from benchmarks.reporting.report import markdown_table, publish
from benchmarks.servers.served_gateway import served_gateway
from benchmarks.workloads.clicks import new_pictures, photograph

SIDE = 512
CLICK = (256, 200)
CACHE_BYTES = 16 * 2**20
WARM_UP = 2000
PAUSE_S = 2.0
SETTINGS = {"feature_cache_bytes": CACHE_BYTES, "picture_cache_bytes": CACHE_BYTES}


@dataclass(frozen=True)
class Reading:
    """The gateway's process at one moment."""

    requests: int
    resident_mib: float
    anonymous_mib: float
    """Of that what belongs to no file: heap and stacks."""
    threads: int
    files: int
    """Open ones, sockets included."""

    @classmethod
    def of(cls, pid: int, requests: int) -> Reading:
        """Of a process that lives."""
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        values = dict(line.split(":", 1) for line in lines)

        def number(name: str) -> int:
            return int(values[name].split()[0])

        files = sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
        resident, anonymous = number("VmRSS") / 1024, number("RssAnon") / 1024
        return cls(requests, resident, anonymous, number("Threads"), files)


class Visitor:
    """Does one thing after the other, and counts the answers by status."""

    def __init__(self, http: httpx.AsyncClient, pictures: Iterator[bytes]) -> None:
        self.answers: Counter[int] = Counter()
        self._http = http
        self._pictures = pictures
        self._known = ""
        self._job = ""

    async def begin(self) -> None:
        """A picture and a job that the rest goes back to."""
        self._known = await self._upload(next(self._pictures))
        await self.paint()

    async def ask(self, method: str, path: str, **request: object) -> httpx.Response:
        """One request, counted."""
        response = await self._http.request(method, path, **request)  # type: ignore[arg-type]
        self.answers[response.status_code] += 1
        return response

    async def click_known(self) -> None:
        """The network has seen the picture."""
        await self._click(self._known)

    async def click_new(self) -> None:
        """An upload and a click on it."""
        await self._click(await self._upload(next(self._pictures)))

    async def paint(self) -> None:
        """A small edit with a mask, waited for, its events and its picture."""
        mask = (await self._click(self._known)).json()["masks"][0]["mask_id"]
        body = {"task": "edit", "prompt": "a hat", "image": self._known, "mask": mask}
        job = await self.ask("POST", "/v1/jobs", json={**body, "num_inference_steps": 2})
        self._job = f"/v1/jobs/{job.json()['id']}"
        await self.ask("GET", f"{self._job}?wait=60")
        await self.listen()
        await self.ask("GET", f"{self._job}/result")

    async def poll(self) -> None:
        """The last job."""
        await self.ask("GET", self._job)

    async def listen(self) -> None:
        """All events of the last job."""
        await self.ask("GET", f"{self._job}/events")

    async def look_around(self) -> None:
        """What pages ask besides."""
        await self.ask("GET", "/v1/jobs?limit=5")
        await self.ask("GET", "/v1/models")
        await self.ask("GET", "/metrics")

    async def err(self) -> None:
        """Refused: no such job, no such field, no picture, no such route."""
        await self.ask("GET", "/v1/jobs/job_0")
        await self.ask("POST", "/v1/masks", json={"image": self._known, "points": []})
        await self.ask("POST", "/v1/files", files={"file": b"no picture"})
        await self.ask("GET", "/v1/nothing")

    async def _upload(self, picture: bytes) -> str:
        response = await self.ask("POST", "/v1/files", files={"file": picture})
        return str(response.raise_for_status().json()["id"])

    async def _click(self, image: str) -> httpx.Response:
        body = {"image": image, "prompts": [{"points": [CLICK]}]}
        return (await self.ask("POST", "/v1/masks", json=body)).raise_for_status()


def deeds(visitor: Visitor) -> Iterator[Callable[[], Awaitable[None]]]:
    """For ever, in the same order: of 30 deeds one is a job."""
    each = {
        visitor.click_known: 10,
        visitor.click_new: 6,
        visitor.poll: 6,
        visitor.listen: 2,
        visitor.look_around: 2,
        visitor.err: 3,
        visitor.paint: 1,
    }
    return itertools.cycle([deed for deed, times in each.items() for _ in range(times)])


async def visit_all(
    url: str, pid: int, options: argparse.Namespace
) -> tuple[list[Reading], Counter[int]]:
    """Visit until the requests are done; readings in between, and answers by status."""
    pictures = new_pictures(photograph("astronaut", SIDE), CLICK)
    readings: list[Reading] = []
    async with httpx.AsyncClient(base_url=url, timeout=120, trust_env=False) as http:
        visitors = [Visitor(http, pictures) for _ in range(options.clients)]
        await asyncio.gather(*(visitor.begin() for visitor in visitors))
        ways = [deeds(visitor) for visitor in visitors]

        def sent() -> int:
            return sum(sum(visitor.answers.values()) for visitor in visitors)

        async def visit(way: Iterator[Callable[[], Awaitable[None]]], until: int) -> None:
            while sent() < until:
                await next(way)()

        for until in range(options.every, options.requests + 1, options.every):
            await asyncio.gather(*(visit(way, until) for way in ways))
            await asyncio.sleep(PAUSE_S)
            readings.append(Reading.of(pid, sent()))
            print(readings[-1], flush=True)
    return readings, sum((visitor.answers for visitor in visitors), Counter())


def main() -> None:
    """Read the command line, measure, publish."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requests", type=positive, default=10_000)
    parser.add_argument("--every", type=positive, default=1000, help="requests between readings")
    parser.add_argument("--clients", type=positive, default=8)
    add_output_option(parser)
    options = parser.parse_args()
    with served_gateway(**SETTINGS) as gateway:
        machine = Machine(gateway.triton_version())
        began = time.monotonic()
        readings, answers = asyncio.run(visit_all(gateway.url, gateway.pid, options))
        took_s = time.monotonic() - began
    report = machine.report()
    told = ", ".join(f"{status}: {number}" for status, number in sorted(answers.items()))
    markdown = "\n".join(
        [describe(report), "", _table(readings), "", f"{took_s:.0f} s. Answers by status: {told}."]
    )
    figures = {
        "machine": report,
        "options": recorded(options),
        "readings": [asdict(reading) for reading in readings],
        "answers": dict(answers),
    }
    publish(markdown, figures, options.output)


def _table(readings: list[Reading]) -> str:
    base = next((one for one in readings if one.requests >= WARM_UP), readings[0])
    rows = [
        [
            str(one.requests),
            f"{one.resident_mib:.1f}",
            f"{one.anonymous_mib:.1f}",
            f"{one.resident_mib - base.resident_mib:+.1f}",
            str(one.threads),
            str(one.files),
        ]
        for one in readings
    ]
    since = f"since {base.requests}"
    return markdown_table(
        ["requests", "resident MiB", "of it heap", since, "threads", "open files"], rows
    )


if __name__ == "__main__":
    main()
