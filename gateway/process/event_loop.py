"""The event loop of a gateway and of a worker: uvloop, but on Windows, which it does not know."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A loop that nobody runs yet."""
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop

    return uvloop.new_event_loop()


def run(work: Coroutine[object, object, None]) -> None:
    """As `asyncio.run`, on such a loop."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(work)
