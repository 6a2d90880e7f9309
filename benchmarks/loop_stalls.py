"""How long the gateway's event loop is kept from its work while clicks on new pictures pour in.

    python -m benchmarks.loop_stalls [--requests 200] [--concurrency 16] [--output stalls.md]

A task in the gateway's own loop sleeps for a millisecond again and again and notes how much later
than that it wakes: everything else that the loop does waits as long. The load comes from another
process. The same is measured without load, since a busy machine wakes sleepers late by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import uvicorn

from benchmarks.clicks import PICTURES, new_pictures, photograph
from benchmarks.direct_clicks import find_click
from benchmarks.figures import percentile
from benchmarks.gateway_clicks import Call, run_gateway
from benchmarks.machine import Machine, describe
from benchmarks.options import add_output_option, positive, recorded
from benchmarks.report import markdown_table, publish
from benchmarks.served_gateway import other_process
from gateway.app import create_app
from gateway.interpreter import settle_memory, share_time
from gateway.loopback_ports import LOOPBACK, free_ports
from gateway.settings import Settings

NAP_S = 0.001
_READY_TIMEOUT_S = 300.0
_PERCENTS = (50.0, 99.0, 99.9, 100.0)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and report."""
    options = _parser().parse_args(arguments)
    share_time()  # as `retouch serve` does
    with tempfile.TemporaryDirectory(prefix="retouch-stalls-") as scratch, other_process() as load:
        machine = Machine("embedded")
        stalls = asyncio.run(_measure(Path(scratch), load, options))
    report = machine.report()
    rows = [
        [name, *(f"{percentile(values, percent) * 1000:.2f}" for percent in _PERCENTS)]
        for name, values in stalls.items()
    ]
    headers = ["event loop late by, ms", *(f"p{percent:g}" for percent in _PERCENTS)]
    markdown = (
        f"# Event loop\n\n{options.concurrency} clients click on {options.requests} new pictures, "
        f"{options.size} x {options.size} JPEG.\n\n{describe(report)}\n\n"
        f"{markdown_table(headers, rows)}"
    )
    figures = {"machine": report, "options": recorded(options), "stalls_s": stalls}
    publish(markdown, figures, options.output)


async def _measure(
    folder: Path, load: ProcessPoolExecutor, options: argparse.Namespace
) -> dict[str, list[float]]:
    port = free_ports(1)[0]
    app = create_app(Settings(data_dir=folder, port=port))
    settle_memory()
    config = uvicorn.Config(app, host=LOOPBACK, port=port, log_level="warning", access_log=False)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    try:
        await _until_ready(app, server)
        pixels = photograph(PICTURES[0], options.size)
        backend = app.state.services.backend
        triton_url = backend._url
        loop = asyncio.get_running_loop()
        clicks = new_pictures(pixels, (0, 0))
        click = await loop.run_in_executor(load, find_click, triton_url, next(clicks))
        pictures = list(itertools.islice(new_pictures(pixels, click), options.requests))
        url = f"http://{LOOPBACK}:{port}"

        async def clicking() -> None:
            arguments = (url, Call.FIRST, pictures, click, options.concurrency)
            await loop.run_in_executor(load, run_gateway, *arguments)

        idle = await _late_while(asyncio.sleep(3))
        return {"without load": idle, "under load": await _late_while(clicking())}
    finally:
        server.should_exit = True
        await serving


async def _late_while(work: object) -> list[float]:
    """Seconds that the loop woke late, again and again, until the work is done."""
    task = asyncio.ensure_future(work)  # type: ignore[call-overload]
    late = []
    while not task.done():
        started = time.perf_counter()
        await asyncio.sleep(NAP_S)
        late.append(max(0.0, time.perf_counter() - started - NAP_S))
    await task
    return late


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
