"""`retouch serve` and `retouch worker` on a model server in memory: starts in a second."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from gateway.app import create_app
from gateway.http.edge import Edge
from gateway.http.http_server import server_options
from gateway.inference import PaintEvent, PictureRequest, StepDone
from gateway.inference_fake import FakeBackend
from gateway.observability.logs import set_up_logs
from gateway.process.event_loop import run
from gateway.runtime import running
from gateway.settings import Settings

STEP_S = 0.3
STEPS_FILE = "steps-taken"
"""In the data folder: a byte for each step that any process took."""


@dataclass(kw_only=True)
class CountedBackend(FakeBackend):
    """Leaves a mark for each step, also when nobody is told of it."""

    folder: Path

    async def paint(self, request: PictureRequest) -> AsyncIterator[PaintEvent]:
        async with aclosing(super().paint(request)) as events:
            async for event in events:
                if isinstance(event, StepDone):
                    with (self.folder / STEPS_FILE).open("ab") as marks:
                        marks.write(b".")
                yield event


def backend(settings: Settings) -> CountedBackend:
    return CountedBackend(step_s=STEP_S, folder=settings.data_dir)


async def work(settings: Settings) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with running(settings, Edge.of(settings), backend=backend(settings)):
        await stop.wait()


def main() -> None:
    settings = Settings()
    set_up_logs(settings.log_format)
    command, *options = sys.argv[1:]
    if command == "worker":
        run(work(settings))
        return
    works = "--no-worker" not in options
    app = create_app(settings, backend=backend(settings), works=works)
    guards = server_options(settings)
    uvicorn.run(app, port=settings.port, timeout_graceful_shutdown=5, log_config=None, **guards)


if __name__ == "__main__":
    main()
