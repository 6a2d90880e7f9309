"""How late naps of a millisecond end: in an event loop, and in a process that does nothing else.

    python -m benchmarks.workloads.naps

runs such a process: for each line that it reads it prints the latenesses since the last one. What
it is late by, the machine does to whoever sleeps; what an event loop is late by on top is its own.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from benchmarks.reporting.figures import percentile
from gateway.process.event_loop import run

NAP_S = 0.001
_PERCENTS = (50.0, 99.0, 99.9, 100.0)
LATENESS_HEADERS = ["late by, ms", *(f"p{percent:g}" for percent in _PERCENTS), "naps"]


@dataclass
class Naps:
    """Milliseconds, nap by nap."""

    late_ms: list[float] = field(default_factory=list)
    """From when it should have ended to when it did."""
    queued_ms: list[float] = field(default_factory=list)
    """Meanwhile the thread was ready to run and had no processor, so long."""
    busy_ms: list[float] = field(default_factory=list)
    """Meanwhile it had one; what is left it waited for other threads of its process, the GIL."""

    async def go_on(self, until: Callable[[], bool]) -> None:
        """Nap in the running loop, again and again."""
        with _own_clocks() as clocks:
            while not until():
                started, (busy, queued) = time.perf_counter(), clocks()
                await asyncio.sleep(NAP_S)
                late = time.perf_counter() - started - NAP_S
                self.late_ms.append(1000 * max(0.0, late))
                busy_now, queued_now = clocks()
                self.busy_ms.append((busy_now - busy) / 1e6)
                self.queued_ms.append((queued_now - queued) / 1e6)

    def rest_ms(self) -> list[float]:
        """Late for neither: the interpreter's lock, held by another thread, and the timer."""
        parts = zip(self.late_ms, self.queued_ms, self.busy_ms, strict=True)
        return [max(0.0, late - queued - busy) for late, queued, busy in parts]

    def taken(self) -> Naps:
        """What was noted since the last time."""
        seen = Naps(self.late_ms, self.queued_ms, self.busy_ms)
        self.late_ms, self.queued_ms, self.busy_ms = [], [], []
        return seen


class Neighbour:
    """The process that does nothing else."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def taken(self) -> Naps:
        """What it has noted since the last time."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return Naps(**json.loads(self._process.stdout.readline()))


@contextmanager
def neighbour() -> Iterator[Neighbour]:
    """One that naps until the context is left, beside what is measured."""
    command = [sys.executable, "-m", "benchmarks.workloads.naps"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield Neighbour(process)
        finally:
            process.terminate()


def lateness_rows(when: str, loop: Naps, beside: Naps) -> list[list[str]]:
    """Rows under `LATENESS_HEADERS`; `when` says what the load was."""
    named = {
        f"event loop, {when}": loop.late_ms,
        "- meanwhile without a processor": loop.queued_ms,
        "- meanwhile at work": loop.busy_ms,
        "- the rest, mostly the interpreter's lock": loop.rest_ms(),
        f"a process that does nothing else, {when}": beside.late_ms,
    }
    return [
        [name, *(f"{percentile(ms, p):.2f}" for p in _PERCENTS), str(len(ms))]
        for name, ms in named.items()
    ]


@contextmanager
def _own_clocks() -> Iterator[Callable[[], tuple[int, int]]]:
    """Nanoseconds that the calling thread has had a processor, and has waited for one.

    The first two numbers of /proc/<pid>/task/<tid>/schedstat.
    """
    file = os.open(f"/proc/self/task/{threading.get_native_id()}/schedstat", os.O_RDONLY)

    def read() -> tuple[int, int]:
        busy, queued, _ = os.pread(file, 100, 0).split()
        return int(busy), int(queued)

    try:
        yield read
    finally:
        os.close(file)


async def _nap_for_reader() -> None:
    naps, ended = Naps(), asyncio.Event()
    lines = os.fdopen(0, "rb", buffering=0)

    def answer() -> None:
        if not lines.readline():
            ended.set()
        print(json.dumps(vars(naps.taken())), flush=True)

    asyncio.get_running_loop().add_reader(0, answer)
    await naps.go_on(ended.is_set)


if __name__ == "__main__":
    run(_nap_for_reader())
