"""Many who poll and listen, in one process, over plain sockets so that they take little of it."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from benchmarks.figures import percentile

POLL_EVERY_S = 1.0
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_OPEN_AT_ONCE = 20


@dataclass
class CrowdRun:
    """What the crowd saw in its time."""

    polls: int = 0
    poll_errors: int = 0
    streams: int = 0
    """Opened."""
    stream_errors: int = 0
    processor_s: float = 0.0
    """Of the crowd's own process."""
    latencies_s: list[float] = field(default_factory=list)

    def summary(self) -> dict[str, float]:
        """Without every single latency."""
        return {
            "polls": self.polls,
            "poll_errors": self.poll_errors,
            "poll_p50_ms": 1000 * percentile(self.latencies_s, 50),
            "poll_p99_ms": 1000 * percentile(self.latencies_s, 99),
            "streams": self.streams,
            "stream_errors": self.stream_errors,
        }


def gather_a_crowd(
    url: str, job_ids: list[str], pollers: int, streams: int, seconds: float
) -> CrowdRun:
    """Poll and listen for a while; runs in a process of its own."""
    return asyncio.run(_Crowd(url).stay(job_ids, pollers, streams, seconds))


class _Crowd:
    """People before one server, each with a connection."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._host, self._port = str(address.hostname), int(address.port or 80)
        self._opening = asyncio.Semaphore(_OPEN_AT_ONCE)  # a backlog that is full drops connections
        self._seen = CrowdRun()

    async def stay(
        self, job_ids: list[str], pollers: int, streams: int, seconds: float
    ) -> CrowdRun:
        """Everybody comes, and after a while everybody goes."""
        began = time.process_time()
        people = [self._listen(job_ids[n % len(job_ids)]) for n in range(streams)]
        people += [
            self._poll(job_ids[n % len(job_ids)], POLL_EVERY_S * n / pollers)
            for n in range(pollers)
        ]
        tasks = [asyncio.ensure_future(person) for person in people]
        await asyncio.sleep(seconds)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._seen.processor_s = time.process_time() - began
        return self._seen

    async def _poll(self, job_id: str, delay_s: float) -> None:
        """Ask for a job once a second, as a page does."""
        request = f"GET /v1/jobs/{job_id} HTTP/1.1\r\nHost: {self._host}\r\n\r\n".encode()
        await asyncio.sleep(delay_s)
        while True:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                async with self._opening:
                    reader, writer = await asyncio.open_connection(self._host, self._port)
                with contextlib.closing(writer):
                    while True:
                        started = time.perf_counter()
                        writer.write(request)
                        status = await _answer(reader)
                        took = time.perf_counter() - started
                        self._seen.latencies_s.append(took)
                        self._seen.polls += 1
                        self._seen.poll_errors += status != 200
                        await asyncio.sleep(max(0.0, POLL_EVERY_S - took))
            self._seen.poll_errors += 1

    async def _listen(self, job_id: str) -> None:
        """Read a job's events to the end."""
        request = f"GET /v1/jobs/{job_id}/events HTTP/1.1\r\nHost: {self._host}\r\n\r\n".encode()
        try:
            async with self._opening:
                reader, writer = await asyncio.open_connection(self._host, self._port)
            with contextlib.closing(writer):
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                self._seen.streams += 1
                self._seen.stream_errors += _status(head) != 200
                while await reader.read(65_536):
                    pass
        except (ConnectionError, asyncio.IncompleteReadError):
            self._seen.stream_errors += 1


async def _answer(reader: asyncio.StreamReader) -> int:
    """Read a whole answer; its status."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = _LENGTH.search(head)
    if length is not None:
        await reader.readexactly(int(length[1]))
    return _status(head)


def _status(head: bytes) -> int:
    return int(head.split(b" ", 2)[1])
