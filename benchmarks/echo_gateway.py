"""A gateway whose model gives the picture back, and which knows how long its event loop stalled.

    python -m benchmarks.echo_gateway FOLDER

It writes its port to FOLDER/port and answers GET /naps with the latenesses since the last one; the
first one starts the measuring, which costs processor time too.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as `retouch` does

import cv2
import numpy as np
import uvicorn

from benchmarks.naps import Naps
from gateway.app import create_app
from gateway.event_loop import run
from gateway.http_server import server_options
from gateway.image_work import keep_opencv_to_one_thread
from gateway.inference import ModelHealth, PaintEvent, PictureDone, PictureRequest
from gateway.inference_fake import FakeBackend
from gateway.interpreter import settle_memory, share_time
from gateway.settings import Settings
from preprocessing.arrays import Image


class EchoBackend(FakeBackend):
    """Paints the first picture again, at 1024 x 1024 pixels' area, in no time."""

    _last: tuple[Image, Image] | None = None
    """What it was shown and what it painted."""

    async def paint(self, request: PictureRequest) -> AsyncIterator[PaintEvent]:
        """One grey into the mask would be another picture; the same one costs us the same."""
        if self._last is None or self._last[0] is not request.images[0]:
            self._last = request.images[0], await asyncio.to_thread(_echoed, request)
        yield PictureDone(self._last[1], 0.0, {})

    async def check(self, model: str, *, timeout_s: float) -> ModelHealth:
        """Ready, with the size of the real models."""
        health = await super().check(model, timeout_s=timeout_s)
        manifest = {**health.manifest, "default_size": [1024, 1024]}
        return ModelHealth(model, ready=True, manifest=manifest)


def _echoed(request: PictureRequest) -> Image:
    size_wh = request.width, request.height
    image = cv2.resize(request.images[0], size_wh, interpolation=cv2.INTER_AREA)
    return np.roll(image, 1, axis=1)


def main() -> None:
    """Serve until terminated."""
    folder = Path(sys.argv[1])
    share_time()  # this and the next two as `retouch serve` does
    keep_opencv_to_one_thread()
    settings = Settings(data_dir=folder, canary_interval_s=3600)
    app = create_app(settings, backend=EchoBackend())
    settle_memory()
    naps = Naps()
    watches: list[asyncio.Task[None]] = []

    @app.get("/naps")
    async def latenesses() -> dict[str, Any]:
        if not watches:
            watches.append(asyncio.create_task(naps.go_on(lambda: False)))
        return asdict(naps.taken())

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
