"""Tritons in memory that fail as told, and a pool over them."""

import asyncio
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import numpy as np

from gateway.errors import (
    ModelUnavailableError,
)
from gateway.inference import (
    GENERATION_MODEL,
    SEGMENTATION_MODEL,
    ModelHealth,
    PaintEvent,
    PictureRequest,
    SegmentationOutput,
    StepDone,
)
from gateway.inference_fake import FakeBackend
from gateway.triton.triton_endpoints import TritonEndpoints
from gateway.triton.triton_pool import TritonPool

DEAD = ModelUnavailableError("The model server cannot be reached; it may be restarting.")


class Triton(FakeBackend):
    """Fails as told, also in the middle of a painting; answers canaries late when told."""

    dies_at_step: int | None = None
    hangs: bool = False
    closed: bool = False
    working: threading.Event | None = None
    stages: Mapping[str, Any] = {}

    def segment(self, square: np.ndarray) -> SegmentationOutput:
        if self.working is not None:
            self.working.wait(5)
        return super().segment(square)

    async def paint(self, request: PictureRequest) -> AsyncIterator[PaintEvent]:
        if self.failure:
            raise self.failure
        async with aclosing(super().paint(request)) as events:
            async for event in events:
                if isinstance(event, StepDone) and event.step == self.dies_at_step:
                    self.failure = DEAD
                    raise DEAD
                yield event

    async def check(self, model: str, *, timeout_s: float) -> ModelHealth:
        if self.hangs:
            await asyncio.sleep(timeout_s)
            return ModelHealth(model, ready=False, detail="no answer", slow=True)
        if self.failure:
            return ModelHealth(model, ready=False, detail=self.failure.message)
        health = await super().check(model, timeout_s=timeout_s)
        return replace(health, manifest={**health.manifest, "stages": self.stages})

    async def close(self) -> None:
        self.closed = True


class Tritons:
    """A pool over `a:1`, `b:1`, ... and the fakes behind it."""

    def __init__(self, *urls: str) -> None:
        self.fakes = {url: Triton() for url in urls}
        self.pool = TritonPool(TritonEndpoints(urls), self._connect)

    def _connect(self, url: str) -> Triton:
        return self.fakes.setdefault(url, Triton())

    async def canaries(self, model: str = SEGMENTATION_MODEL) -> ModelHealth:
        return await self.pool.check(model, timeout_s=0.05)

    def masks(self) -> list[int]:
        return [fake.segmentations for fake in self.fakes.values()]

    def painted(self) -> list[int]:
        return [len(fake.painted) for fake in self.fakes.values()]


def request(model: str = GENERATION_MODEL, **changes: object) -> PictureRequest:
    fields: dict[str, object] = {
        "prompt": "a fox",
        "width": 64,
        "height": 64,
        "num_inference_steps": 3,
        "true_cfg_scale": 1.0,
        "seed": 7,
    }
    return PictureRequest(model=model, **(fields | changes))  # type: ignore[arg-type]


async def paint(three: Tritons, **changes: object) -> list[PaintEvent]:
    return [event async for event in three.pool.paint(request(**changes))]  # type: ignore[arg-type]
