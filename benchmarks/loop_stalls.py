"""How long the gateway's event loop is kept from its work while clicks on new pictures pour in.

    python -m benchmarks.loop_stalls [--requests 200] [--concurrency 16] [--output stalls.md]

A task in the gateway's own loop sleeps for a millisecond again and again and notes how much later
than that it wakes: everything else that the loop does waits as long. The load comes from another
process. A third one only sleeps, and all is measured without load too: a busy machine wakes
sleepers late by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import tempfile
from collections.abc import Awaitable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as `retouch` does

import uvicorn

from benchmarks.reporting.machine import Machine, describe
from benchmarks.reporting.options import add_output_option, positive, recorded
from benchmarks.reporting.report import markdown_table, publish
from benchmarks.servers.served_gateway import other_process
from benchmarks.workloads.clicks import PICTURES, new_pictures, photograph
from benchmarks.workloads.direct_clicks import find_click
from benchmarks.workloads.gateway_clicks import Call, run_gateway
from benchmarks.workloads.naps import LATENESS_HEADERS, Naps, Neighbour, lateness_rows, neighbour
from gateway.app import create_app
from gateway.http.http_server import server_options
from gateway.process.event_loop import new_event_loop
from gateway.process.interpreter import settle_memory
from gateway.process.preparation import prepare_process
from gateway.settings import Settings
from gateway.triton.loopback_ports import LOOPBACK, free_ports

_READY_TIMEOUT_S = 300.0
_WARM_UP = 32


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and report."""
    options = _parser().parse_args(arguments)
    prepare_process()
    with (
        tempfile.TemporaryDirectory(prefix="retouch-stalls-") as scratch,
        other_process() as load,
        neighbour() as beside,
        asyncio.Runner(loop_factory=new_event_loop) as runner,
    ):
        machine = Machine("embedded")
        stalls = runner.run(_measure(Path(scratch), load, beside, options))
    report = machine.report()
    rows = [
        *lateness_rows("without load", *stalls.idle),
        *lateness_rows("under load", *stalls.loaded),
    ]
    markdown = (
        f"# Event loop\n\n{options.concurrency} clients click on {options.requests} new pictures, "
        f"{options.size} x {options.size} JPEG: {stalls.clicks_per_s:.1f} clicks/s.\n\n"
        f"{describe(report)}\n\n{markdown_table(LATENESS_HEADERS, rows)}"
    )
    figures = {"machine": report, "options": recorded(options), "stalls": asdict(stalls)}
    publish(markdown, figures, options.output)


@dataclass(frozen=True)
class Stalls:
    """Of the event loop, and of the process beside it."""

    idle: tuple[Naps, Naps]
    loaded: tuple[Naps, Naps]
    clicks_per_s: float


async def _measure(
    folder: Path, load: ProcessPoolExecutor, beside: Neighbour, options: argparse.Namespace
) -> Stalls:
    settings = Settings(data_dir=folder, port=free_ports(1)[0])
    app = create_app(settings)
    settle_memory()
    config = uvicorn.Config(
        app, host=LOOPBACK, port=settings.port, log_level="warning", **server_options(settings)
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    try:
        await _until_ready(app, server)
        loop, url = asyncio.get_running_loop(), f"http://{LOOPBACK}:{settings.port}"
        triton_url = app.state.services.backend._url
        click = await loop.run_in_executor(load, prepare, triton_url, options)
        await loop.run_in_executor(load, clicks, url, click, options.concurrency, _WARM_UP)
        idle = await _late_while(asyncio.sleep(3), beside)
        clicking = loop.run_in_executor(load, clicks, url, click, options.concurrency)
        loaded = await _late_while(clicking, beside)
        return Stalls(idle, loaded, await clicking)
    finally:
        server.should_exit = True
        await serving


_pictures: list[bytes] = []
"""In the process that clicks: pictures from here would have to be copied to it meanwhile."""


def prepare(triton_url: str, options: argparse.Namespace) -> tuple[int, int]:
    """Make the pictures; where an object is on them."""
    pixels = photograph(PICTURES[0], options.size)
    click = find_click(triton_url, next(new_pictures(pixels, (0, 0))))
    _pictures[:] = itertools.islice(new_pictures(pixels, click), options.requests + _WARM_UP)
    return click


def clicks(url: str, click: tuple[int, int], concurrency: int, number: int | None = None) -> float:
    """Click on the first so many pictures that nobody clicked on, or on all; clicks a second."""
    pictures, _pictures[:] = _pictures[:number], _pictures[number:] if number else []
    run = run_gateway(url, Call.FIRST, pictures, click, concurrency)
    return len(pictures) / run.wall_s


async def _late_while(work: Awaitable[object], beside: Neighbour) -> tuple[Naps, Naps]:
    task, naps = asyncio.ensure_future(work), Naps()
    beside.taken()
    await naps.go_on(task.done)
    return naps, beside.taken()


async def _until_ready(app: object, server: uvicorn.Server) -> None:
    async with asyncio.timeout(_READY_TIMEOUT_S):
        while not server.started or not app.state.services.catalog.ready:  # type: ignore[attr-defined]  # noqa: ASYNC110
            await asyncio.sleep(0.2)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loop_stalls")
    parser.description = "Measure how late the gateway's event loop wakes under load."
    parser.add_argument("--requests", type=positive, default=200)
    parser.add_argument("--concurrency", type=positive, default=16)
    parser.add_argument("--size", type=positive, default=1024, help="side of the picture in pixels")
    add_output_option(parser)
    return parser


if __name__ == "__main__":
    main()
