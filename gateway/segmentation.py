"""Use case: prompts on a picture become masks.

The network sees a picture once; its output is kept, and every further prompt on the same
picture is answered from it without touching the model server.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeVar

from gateway.errors import ImageInvalidError
from gateway.feature_cache import CachedInstances, FeatureCache
from gateway.image_store import StoredImage
from gateway.inference import InferenceBackend
from gateway.pictures import Pictures
from gateway.rejections import rejections
from preprocessing.arrays import Image, Mask
from preprocessing.fastsam import Instances, decode_detections, instance_mask
from preprocessing.letterbox import letterbox, plan_letterbox
from preprocessing.prompts import Choice, Prompt, rank

T = TypeVar("T")


@dataclass(frozen=True)
class SmartMask:
    """A mask and how it was found."""

    mask: Mask
    score: float
    prompt_index: int | None
    """Which prompt it answers; None when everything was asked for."""
    alternatives: int
    """Other instances that satisfied the prompt."""


@dataclass(frozen=True)
class Segmentation:
    """Masks of one picture."""

    image: StoredImage
    masks: tuple[SmartMask, ...]
    cached: bool
    """The network was not asked: it had seen the picture before."""
    timings: dict[str, float]
    """Seconds by stage."""


class Segmenter:
    """Answers prompts; the CPU work and the call to the network run in `executor`'s threads."""

    def __init__(
        self,
        backend: InferenceBackend,
        pictures: Pictures,
        cache: FeatureCache,
        executor: Executor,
    ) -> None:
        self._backend = backend
        self._pictures = pictures
        self._cache = cache
        self._executor = executor

    async def segment(
        self,
        image: StoredImage,
        prompts: Sequence[Prompt],
        *,
        everything: bool = False,
        multimask: bool = False,
        max_masks: int = 100,
        pointer: str = "/prompts/{index}",
    ) -> Segmentation:
        """One mask per prompt, or all instances of the picture.

        Args:
            image: the picture.
            prompts: one prompt describes one object.
            everything: ignore prompts and return all instances, best first.
            multimask: for each prompt return its alternatives too.
            max_masks: at most so many masks in all.
            pointer: where prompt `{index}` stands in the request, for errors.

        Raises:
            ImageInvalidError: mask_not_found, no instance satisfies a prompt.
            ValidationFailedError: a prompt is not on the picture.
            InferenceError: the model server failed.
        """
        started = time.perf_counter()
        for index, prompt in enumerate(prompts):
            with rejections(pointer.format(index=index)):
                prompt.check((image.width, image.height))
        found = await self._instances(image)
        located = time.perf_counter()
        instances = found.instances
        if everything:
            masks = await self._in_thread(lambda: _all(instances, max_masks))
        else:
            masks = await self._in_thread(
                lambda: _prompted(instances, prompts, multimask=multimask, pointer=pointer)[
                    :max_masks
                ]
            )
        timings = {"features": located - started, "masks": time.perf_counter() - located}
        return Segmentation(image, tuple(masks), found.cached, timings)

    async def _instances(self, image: StoredImage) -> CachedInstances:
        async def compute() -> Instances:
            decoded = await self._pictures.decoded(image.id)
            return await self._in_thread(lambda: self._run_network(decoded.pixels))

        return await self._cache.get(image.sha256, compute)

    def _run_network(self, pixels: Image) -> Instances:
        height, width = pixels.shape[:2]
        plan = plan_letterbox((width, height), self._backend.segmentation_size())
        output = self._backend.segment(letterbox(pixels, plan))
        return decode_detections(output.detections, output.prototypes, plan)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        context = contextvars.copy_context()  # the call to the network belongs to this trace
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, context.run, work)


def _all(instances: Instances, max_masks: int) -> list[SmartMask]:
    shown = range(min(len(instances), max_masks))
    return [
        SmartMask(instance_mask(instances, i), float(instances.scores[i]), None, 0) for i in shown
    ]


def _prompted(
    instances: Instances, prompts: Sequence[Prompt], *, multimask: bool, pointer: str
) -> list[SmartMask]:
    found = []
    for index, prompt in enumerate(prompts):
        choices: list[Choice] = rank(instances, prompt)
        if not choices:
            raise ImageInvalidError(
                f"Nothing was found for prompt {index}: no object of the "
                f"{len(instances)} in the picture satisfies it.",
                code="mask_not_found",
                pointer=pointer.format(index=index),
            )
        for choice in choices if multimask else choices[:1]:
            mask = instance_mask(instances, choice.index)
            found.append(SmartMask(mask, choice.score, index, len(choices) - 1))
    return found
