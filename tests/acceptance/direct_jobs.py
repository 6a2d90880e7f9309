"""Jobs asked of the pipeline models directly, over gRPC, at chosen times."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gateway.inference import GENERATION_MODEL, PictureDone, PictureRequest
from gateway.triton.triton_client import TritonBackend

Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class DirectJob:
    """A request, when it comes, and when its client goes away."""

    request: PictureRequest
    starts_after_s: float = 0.0
    leaves_after_step: int | None = None
    """0: soon after it was sent, before a step is done; None: with the picture."""


def small_request(**changes: Any) -> PictureRequest:
    """Two quick steps of a small picture, but for what is changed."""
    small: dict[str, Any] = {
        "model": GENERATION_MODEL,
        "prompt": "a cat",
        "width": 64,
        "height": 64,
        "num_inference_steps": 2,
        "true_cfg_scale": 1.0,
        "seed": 1,
    }
    return PictureRequest(**(small | changes))


def run_jobs(triton_url: str, jobs: Sequence[DirectJob]) -> list[Picture | None]:
    """All jobs at their times; their pictures in order, None for those that left.

    Raises:
        InferenceError: a job failed.
    """
    return asyncio.run(_run_jobs(triton_url, jobs))


async def _run_jobs(url: str, jobs: Sequence[DirectJob]) -> list[Picture | None]:
    backend = TritonBackend(url, segmentation_timeout_s=9, stall_timeout_s=90)
    try:
        return list(await asyncio.gather(*(_run(backend, job) for job in jobs)))
    finally:
        await backend.close()


async def _run(backend: TritonBackend, job: DirectJob) -> Picture | None:
    await asyncio.sleep(job.starts_after_s)
    if job.leaves_after_step == 0:
        try:
            async with asyncio.timeout(0.01):
                return await _picture(backend, job)
        except TimeoutError:
            return None
    return await _picture(backend, job)


async def _picture(backend: TritonBackend, job: DirectJob) -> Picture | None:
    stream: Any = backend.paint(job.request)
    async with aclosing(stream) as events:
        async for event in events:
            if isinstance(event, PictureDone):
                return event.image
            if event.step == job.leaves_after_step:
                return None
    raise AssertionError("the stream ended without a picture")
