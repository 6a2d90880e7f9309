"""What open event streams cost a gateway: processor time and memory with none, and with many.

    python -m benchmarks.open_streams --streams 500 --output perf/open_streams.md

Streams that are idle, on one job that waits and on one job each; and streams on one job at work.
The gateway is a process of its own; so is the client, on bare sockets.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx

from benchmarks.reporting.machine import Machine, describe
from benchmarks.reporting.options import add_output_option, positive, recorded
from benchmarks.reporting.report import markdown_table, publish
from benchmarks.servers.served_gateway import ServedGateway, other_process, served_gateway

SETTLE_S = 8.0
HEADERS = ["streams", "gateway CPU % of a core", "memory MB", "frames/s", "CPU ms a frame"]


@dataclass(frozen=True)
class Cost:
    """Of some streams, over some time."""

    what: str
    seconds: float
    processor_s: float
    memory_mb: float
    frames: int

    def row(self) -> list[str]:
        """For the table."""
        each = f"{1000 * self.processor_s / self.frames:.2f}" if self.frames else "-"
        return [
            self.what,
            f"{100 * self.processor_s / self.seconds:.1f}",
            f"{self.memory_mb:.0f}",
            f"{self.frames / self.seconds:.0f}",
            each,
        ]


def listen(port: int, paths: Sequence[str], seconds: float) -> tuple[int, float, float]:
    """Read streams until all have ended, or for so long after `SETTLE_S`.

    Frames after `SETTLE_S`, and the moments between which they came, by `time.time`.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    return asyncio.run(_listen(port, paths, seconds))


async def _listen(port: int, paths: Sequence[str], seconds: float) -> tuple[int, float, float]:
    frames = [0]
    streams = [asyncio.create_task(_read(port, path, frames)) for path in paths]
    await asyncio.sleep(SETTLE_S)
    before, since = frames[0], time.time()
    if before < len(paths):
        raise RuntimeError(f"{before} frames on {len(paths)} streams after {SETTLE_S:.0f} s")
    _, left = await asyncio.wait(
        streams or {asyncio.create_task(asyncio.sleep(seconds))}, timeout=seconds
    )
    found = frames[0] - before, since, time.time()
    for stream in left:
        stream.cancel()
    await asyncio.gather(*streams, return_exceptions=True)
    return found


async def _read(port: int, path: str, frames: list[int]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    try:
        while data := await reader.read(65_536):
            frames[0] += data.count(b"\nevent: ")
            if data.endswith(b"0\r\n\r\n"):  # the last chunk of the answer
                return
    finally:
        writer.close()


class Measurement:
    """One gateway and one client."""

    def __init__(self, gateway: ServedGateway, client: ProcessPoolExecutor) -> None:
        self._gateway = gateway
        self._client = client
        self._http = httpx.Client(base_url=gateway.url, timeout=60, trust_env=False)

    def submit(self, count: int, **fields: object) -> list[str]:
        """Paths of the event streams of new jobs."""
        job = {"task": "generate", "prompt": "a lighthouse", **fields}
        paths = []
        for _ in range(count):
            answer = self._http.post("/v1/jobs", json=job).raise_for_status()
            paths.append(answer.json()["urls"]["events"])
        return paths

    def cost(self, what: str, paths: Sequence[str], seconds: float) -> Cost:
        """Of streams on these paths."""
        port = httpx.URL(self._gateway.url).port
        assert port is not None
        listening = self._client.submit(listen, port, paths, seconds)
        time.sleep(SETTLE_S)
        began, used = time.perf_counter(), self._gateway.processor_s()
        memory_mb = 0.0
        while not listening.done() and time.perf_counter() < began + seconds - 0.5:
            memory_mb = max(memory_mb, _resident_mb(self._gateway.pid))
            time.sleep(0.1)
        took, used = time.perf_counter() - began, self._gateway.processor_s() - used
        frames, since, until = listening.result()
        return Cost(what, took, used, memory_mb, round(frames * min(1, took / (until - since))))


def idle(streams: int, seconds: float, client: ProcessPoolExecutor) -> list[Cost]:
    """Streams of jobs that wait: there is no worker."""
    with served_gateway(works=False, max_queued_jobs=10_000) as gateway:
        measured = Measurement(gateway, client)
        (one,) = measured.submit(1)
        costs = [
            measured.cost("none", [], seconds),
            measured.cost(f"{streams} on one waiting job", [one] * streams, seconds),
        ]
        many = measured.submit(streams)
        return [*costs, measured.cost(f"{streams} on a waiting job each", many, seconds)]


def at_work(streams: int, steps: int, client: ProcessPoolExecutor) -> list[Cost]:
    """Streams of one job at work."""
    with served_gateway() as gateway:
        measured = Measurement(gateway, client)
        job = {"num_inference_steps": steps, "size": "1024x1024"}
        costs = []
        for count in (1, streams):
            (path,) = measured.submit(1, **job)
            costs.append(measured.cost(f"{count} on one job at work", [path] * count, 60.0))
        return costs


def main() -> None:
    """Read the command line, measure, publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=positive, default=500)
    parser.add_argument("--seconds", type=positive, default=20, help="for idle streams")
    parser.add_argument("--steps", type=positive, default=100, help="of the job at work")
    add_output_option(parser)
    options = parser.parse_args()
    machine = Machine(triton="-")
    with other_process() as client:
        costs = idle(options.streams, options.seconds, client)
        costs += at_work(options.streams, options.steps, client)
    report = machine.report()
    markdown = f"{describe(report)}\n\n{markdown_table(HEADERS, [cost.row() for cost in costs])}"
    figures = {"machine": report, "options": recorded(options), "costs": [asdict(c) for c in costs]}
    publish(markdown, figures, options.output)


def _resident_mb(pid: int) -> float:
    words = Path(f"/proc/{pid}/statm").read_text().split()
    return int(words[1]) * resource.getpagesize() / 1e6


if __name__ == "__main__":
    main()
