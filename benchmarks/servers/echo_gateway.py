"""A gateway whose model gives the picture back, and which knows how long its event loop stalled.

    python -m benchmarks.servers.echo_gateway FOLDER

It writes its port to FOLDER/port and answers GET /naps with the latenesses since the last one; the
first one starts the measuring, which costs processor time too. GET /painting says how much of its
processor time was the model's.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as `retouch` does

import cv2
import numpy as np
import uvicorn

from benchmarks.workloads.naps import Naps
from gateway.app import create_app
from gateway.http.http_server import server_options
from gateway.inference import ModelHealth, PaintEvent, PictureDone, PictureRequest
from gateway.inference_fake import FakeBackend
from gateway.process.event_loop import run
from gateway.process.interpreter import settle_memory
from gateway.process.preparation import prepare_process
from gateway.settings import Settings
from preprocessing.arrays import Image


class EchoBackend(FakeBackend):
    """Paints the first picture again, at 1024 x 1024 pixels' area, in no time."""

    painting_s = 0.0
    """Processor time that was its own, not the gateway's."""

    async def paint(self, request: PictureRequest) -> AsyncIterator[PaintEvent]:
        """What it was shown, a pixel to the right: registration has something to find."""
        image, seconds = await asyncio.to_thread(_echoed, request)
        self.painting_s += seconds
        yield PictureDone(image, 0.0, {})

    async def check(self, model: str, *, timeout_s: float) -> ModelHealth:
        """Ready, with the size of the real models."""
        health = await super().check(model, timeout_s=timeout_s)
        manifest = {**health.manifest, "default_size": [1024, 1024]}
        return ModelHealth(model, ready=True, manifest=manifest)


def _echoed(request: PictureRequest) -> tuple[Image, float]:
    """The picture, and seconds of processor time that it took."""
    started = time.thread_time()
    size_wh = request.width, request.height
    image = cv2.resize(request.images[0], size_wh, interpolation=cv2.INTER_AREA)
    return np.roll(image, 1, axis=1), time.thread_time() - started


def main() -> None:
    """Serve until terminated."""
    folder = Path(sys.argv[1])
    prepare_process()
    backend = EchoBackend()
    settings = Settings(data_dir=folder, canary_interval_s=3600)
    app = create_app(settings, backend=backend)
    settle_memory()
    naps = Naps()
    watches: list[asyncio.Task[None]] = []

    @app.get("/naps")
    async def latenesses() -> dict[str, Any]:
        if not watches:
            watches.append(asyncio.create_task(naps.go_on(lambda: False)))
        return asdict(naps.taken())

    @app.get("/painting")
    async def painting() -> dict[str, float]:
        return {"s": backend.painting_s}

    async def serve() -> None:
        server = uvicorn.Server(
            uvicorn.Config(app, port=0, log_level="warning", **server_options(settings))
        )
        serving = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        (folder / "port").write_text(str(server.servers[0].sockets[0].getsockname()[1]))
        await serving
        for watch in watches:
            watch.cancel()

    run(serve())


if __name__ == "__main__":
    main()
