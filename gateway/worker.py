"""A worker alone: it runs jobs, and speaks no HTTP."""

from __future__ import annotations

import asyncio
import logging
import signal

from gateway.http.edge import Edge
from gateway.process.event_loop import run
from gateway.process.processor_turns import loop_first
from gateway.runtime import running
from gateway.settings import Settings

logger = logging.getLogger(__name__)


def work(settings: Settings) -> None:
    """Run jobs until SIGTERM or SIGINT, then drain; blocks."""
    run(_work(settings))


async def _work(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    first = loop_first(real_time=settings.real_time_loop)
    async with first, running(settings, Edge.of(settings)):
        logger.info("worker %s is at work", settings.worker_id)
        await stop.wait()
        logger.info("worker %s drains", settings.worker_id)
