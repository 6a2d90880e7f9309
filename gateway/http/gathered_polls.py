"""Polls of many are taken in together, ten times a second: one by one each costs far more.

A request that comes by itself finds nothing of the process in the processor's caches, and wakes the
event loop's thread, which takes the interpreter from those who work. A crowd's polls come spread
over the second. Here each is kept as it came, and what they all need is done once behind the other.
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any, cast

from gateway.http.answer_head import ARRIVED
from gateway.http.guarded_protocol import GuardedProtocol

TOGETHER_EVERY_S = 0.1
A_CROWD = 8
"""So many in that time come one by one still."""
POLLED = "/v1/jobs/(job_[0-9a-z]{1,60})"
"""Pattern of the path that is polled, with the job's id."""
_POLL = re.compile(rf"GET {POLLED} HTTP/1\.1\r\n".encode())
_LONGEST = 2048
"""Bytes of a poll that is kept: what a browser sends, or one with a key."""


class PollGathering:
    """The polls that one server keeps for a moment."""

    def __init__(self, *, every_s: float = TOGETHER_EVERY_S) -> None:
        self._every_s = every_s
        self._kept: list[GatheringProtocol] = []
        self._came = 0
        """Since the time began that runs now, or ran last."""
        self.is_crowd = False
        """Whether polls wait for each other now."""
        self._ends: asyncio.TimerHandle | None = None
        self._ended_at = float("-inf")

    def keeps(self, poll: GatheringProtocol) -> bool:
        """Whether a poll that has come waits for others; then it is told to go on."""
        if self._ends is None:
            loop = asyncio.get_running_loop()
            if loop.time() - self._ended_at > self._every_s:
                self.is_crowd = False
            self._came = 0
            self._ends = loop.call_later(self._every_s, self._go_on)
        self._came += 1
        if self.is_crowd:
            self._kept.append(poll)
        return self.is_crowd

    def __len__(self) -> int:
        """How many wait."""
        return len(self._kept)

    def _go_on(self) -> None:
        kept, self._kept = self._kept, []
        self.is_crowd = self._came > A_CROWD
        loop = asyncio.get_running_loop()
        self._ends, self._ended_at = None, loop.time()
        for poll in kept:
            loop.call_soon(poll.go_on)


class GatheringProtocol(GuardedProtocol):
    """A connection whose polls may wait for others; all else goes on at once."""

    gathering: PollGathering
    _kept = b""
    """A poll that waits."""
    _kept_at: float | None = None
    """When the poll came that is read now, if it was kept."""
    _between_requests = True

    def data_received(self, data: bytes) -> None:
        """Take data in, or keep it for a moment."""
        if self._kept:  # there is more behind the poll
            data, self._kept = self._kept + data, b""
        elif self._is_poll(data) and self.gathering.keeps(self):
            self._kept, self._kept_at = data, time.perf_counter()
            self._unset_keepalive_if_required()
            return
        super().data_received(data)

    def go_on(self) -> None:
        """Take in what was kept, if anything still is."""
        data, self._kept = self._kept, b""
        if data and not self.transport.is_closing():
            super().data_received(data)

    def on_message_begin(self) -> None:
        """The first byte of a request is read."""
        self._between_requests = False
        super().on_message_begin()
        if self._kept_at is not None:
            scope = cast(dict[str, Any], self.scope)
            scope[ARRIVED], self._kept_at = self._kept_at, None

    def on_message_complete(self) -> None:
        """The last byte of a request is read."""
        self._between_requests = True
        super().on_message_complete()

    def shutdown(self) -> None:
        """What has come is answered before the connection ends."""
        self.go_on()
        super().shutdown()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody waits any more."""
        self._kept = b""
        super().connection_lost(exc)

    def _is_poll(self, data: bytes) -> bool:
        """Whether this is one, as a whole and alone, with nothing before it unanswered."""
        return (
            self._between_requests
            and len(data) <= _LONGEST
            and _POLL.match(data) is not None
            and data.find(b"\r\n\r\n") == len(data) - 4
            and not self._is_answering()
        )
