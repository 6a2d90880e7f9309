"""`retouch serve` and `retouch worker` on a model server in memory: starts in a second."""

from __future__ import annotations

import asyncio
import signal
import sys

import uvicorn

from gateway.app import create_app
from gateway.edge import Edge
from gateway.inference_fake import FakeBackend
from gateway.observability.logs import set_up_logs
from gateway.runtime import running
from gateway.settings import Settings
from gateway.slow_clients import protection

STEP_S = 0.3


async def work(settings: Settings) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with running(settings, Edge.of(settings), backend=FakeBackend(step_s=STEP_S)):
        await stop.wait()


def main() -> None:
    settings = Settings()
    set_up_logs(settings.log_format)
    command, *options = sys.argv[1:]
    if command == "worker":
        asyncio.run(work(settings))
        return
    works = "--no-worker" not in options
    app = create_app(settings, backend=FakeBackend(step_s=STEP_S), works=works)
    guards = protection(settings)
    uvicorn.run(app, port=settings.port, timeout_graceful_shutdown=5, log_config=None, **guards)


if __name__ == "__main__":
    main()
