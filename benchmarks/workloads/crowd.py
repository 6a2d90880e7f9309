"""Many who poll and listen, in one process that does as little as it can: bytes out, bytes in."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from benchmarks.reporting.figures import percentile
from gateway.process.event_loop import new_event_loop

POLL_EVERY_S = 1.0
COME_WITHIN_S = 1.0
_LAST_EVENT = re.compile(rb"event: (succeeded|failed|canceled)")
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


@dataclass
class CrowdRun:
    """What the crowd saw in its time."""

    polls: int = 0
    """Answered."""
    poll_errors: int = 0
    """Another status than 200, or a connection lost."""
    polls_late: int = 0
    """Polls left out, since the one before had no answer yet."""
    streams: int = 0
    """Opened."""
    stream_errors: int = 0
    """Another status than 200, or ended before the job did."""
    processor_s: float = 0.0
    """Of the crowd's own process."""
    latencies_s: list[float] = field(default_factory=list)

    def summary(self) -> dict[str, float]:
        """Without every single latency."""
        return {
            "polls": self.polls,
            "poll_errors": self.poll_errors,
            "polls_late": self.polls_late,
            "poll_p50_ms": 1000 * percentile(self.latencies_s, 50),
            "poll_p99_ms": 1000 * percentile(self.latencies_s, 99),
            "streams": self.streams,
            "stream_errors": self.stream_errors,
        }


def gather_a_crowd(
    url: str, job_ids: list[str], pollers: int, streams: int, seconds: float
) -> CrowdRun:
    """Poll and listen for a while; runs in a process of its own."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(_stay(url, job_ids, pollers, streams, seconds))


async def _stay(
    url: str, job_ids: list[str], pollers: int, streams: int, seconds: float
) -> CrowdRun:
    """Everybody comes, and after a while everybody goes."""
    began, seen = time.process_time(), CrowdRun()
    loop = asyncio.get_running_loop()
    people: list[_Person] = [_Listener(seen, job_ids[n % len(job_ids)]) for n in range(streams)]
    people += [
        _Poller(seen, job_ids[n % len(job_ids)], loop.time() + POLL_EVERY_S * n / pollers)
        for n in range(pollers)
    ]
    address = urlsplit(url)

    async def come(person: _Person, after_s: float) -> None:
        await asyncio.sleep(after_s)
        await loop.create_connection(lambda: person, address.hostname, address.port)

    coming = (come(person, COME_WITHIN_S * n / len(people)) for n, person in enumerate(people))
    await asyncio.gather(*coming)
    await asyncio.sleep(seconds - COME_WITHIN_S)
    for person in people:
        person.go()
    seen.processor_s = time.process_time() - began
    return seen


class _Person(asyncio.Protocol):
    """Somebody with a connection."""

    path: str

    def __init__(self, seen: CrowdRun, job_id: str) -> None:
        path = self.path.format(job_id=job_id)
        self._request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        self._seen = seen
        self._stays = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Here."""
        self._transport = transport

    def go(self) -> None:
        """Hang up."""
        self._stays = False
        self._transport.close()


class _Poller(_Person):
    """Asks for a job once a second, as a page does, on a connection that it keeps."""

    path = "/v1/jobs/{job_id}"

    def __init__(self, seen: CrowdRun, job_id: str, first_at: float) -> None:
        super().__init__(seen, job_id)
        self._due = first_at
        self._asked_at: float | None = None
        self._answer = b""
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The first poll has its moment."""
        super().connection_made(transport)
        self._loop.call_at(max(self._due, self._loop.time()), self._ask)

    def data_received(self, data: bytes) -> None:
        """A piece of the answer."""
        self._answer += data
        head = self._answer.find(b"\r\n\r\n")
        length = _LENGTH.search(self._answer)
        if head < 0 or length is None or len(self._answer) < head + 4 + int(length[1]):
            return
        self._seen.polls += 1
        self._seen.poll_errors += not self._answer.startswith(b"HTTP/1.1 200")
        if self._asked_at is not None:
            self._seen.latencies_s.append(time.perf_counter() - self._asked_at)
        self._answer, self._asked_at = b"", None

    def connection_lost(self, _exc: Exception | None) -> None:
        """Not by us."""
        self._seen.poll_errors += self._stays

    def _ask(self) -> None:
        if not self._stays or self._transport.is_closing():
            return
        self._due += POLL_EVERY_S
        self._loop.call_at(self._due, self._ask)
        if self._asked_at is not None:
            self._seen.polls_late += 1
            return
        self._asked_at = time.perf_counter()
        self._transport.write(self._request)


class _Listener(_Person):
    """Reads a job's events to the end."""

    path = "/v1/jobs/{job_id}/events"
    _is_open = False
    _has_ended = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Ask at once."""
        super().connection_made(transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """The head first, then events of which only the last one matters."""
        self._has_ended = self._has_ended or _LAST_EVENT.search(data) is not None
        if not self._is_open:
            self._is_open = True
            self._seen.streams += 1
            self._seen.stream_errors += not data.startswith(b"HTTP/1.1 200")

    def connection_lost(self, _exc: Exception | None) -> None:
        """Not by us."""
        self._seen.stream_errors += self._stays and not self._has_ended
