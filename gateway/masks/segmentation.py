"""Use case: prompts on a picture become masks.

The network sees a picture once; its output is kept, and every further prompt on the same
picture is answered from it without touching the model server.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from gateway.errors import ModelUnavailableError, RetouchError
from gateway.inference import InferenceBackend, ServedNetwork
from gateway.masks.feature_cache import Cached, FeatureCache
from gateway.masks.smart_masks import Question, SmartMask, choose_masks
from gateway.masks.text_match import TextMatcher
from gateway.rejections import rejections
from gateway.storage.image_store import StoredImage
from gateway.storage.pictures import Pictures
from preprocessing.arrays import Floats, Image
from preprocessing.fastsam import Instances, decode_detections
from preprocessing.letterbox import letterbox, plan_letterbox
from preprocessing.prompts import Prompt

logger = logging.getLogger(__name__)
T = TypeVar("T")
R = TypeVar("R")
STRIDE = 32  # of FastSAM's coarsest features: sides of what it sees are multiples of it
_VERSION_TRIES = 3


@dataclass(frozen=True)
class Segmentation(Generic[R]):
    """Masks of one picture, or what was made of them."""

    image: StoredImage
    masks: R
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
        texts: TextMatcher,
        executor: Executor,
    ) -> None:
        self._backend = backend
        self._pictures = pictures
        self._cache = cache
        self._texts = texts
        self._executor = executor
        self._prefetches: set[asyncio.Task[None]] = set()

    async def segment(
        self, image: StoredImage, question: Question
    ) -> Segmentation[tuple[SmartMask, ...]]:
        """One mask per prompt, or all instances of the picture.

        Raises:
            ImageInvalidError: mask_not_found, no instance satisfies a prompt.
            UnsupportedValueError: text_prompts_absent, there is no model for a text.
            ValidationFailedError: a prompt is not on the picture.
            InferenceError: the model server failed.
        """
        return await self.segment_into(image, question, tuple)

    async def segment_into(
        self, image: StoredImage, question: Question, make: Callable[[Sequence[SmartMask]], R]
    ) -> Segmentation[R]:
        """As `segment`; `make` works on the masks in the thread that found them."""
        started = time.perf_counter()
        for index, prompt in enumerate(question.prompts):
            pointer = question.pointer.format(index=index)
            with rejections(pointer):
                prompt.check((image.width, image.height))
            if prompt.text:
                self._texts.require(pointer)
        timings: dict[str, float] = {}

        def answer(instances: Instances, similarities: Mapping[str, Floats]) -> R:
            located = time.perf_counter()
            masks = choose_masks(instances, question, similarities)
            timings["features"] = located - started
            timings["masks"] = time.perf_counter() - located
            return make(masks)

        along: Future[R] = Future()  # from the thread that asked the network, if one did

        def answer_along(instances: Instances) -> None:
            if question.is_quick:
                _settle(along, lambda: answer(instances, {}))

        key, found = await self._instances(image, answer_along)
        if along.done():
            return Segmentation(image, along.result(), found.cached, timings)
        similarities = await self._similarities(key, image, found.value, question.prompts)
        made = await self._in_thread(lambda: answer(found.value, similarities))
        return Segmentation(image, made, found.cached, timings)

    def prefetch(self, image: StoredImage) -> None:
        """Let the network see a picture in the background, before the first click on it."""
        task = asyncio.create_task(self._prefetch(image), name="prefetch")
        self._prefetches.add(task)
        task.add_done_callback(self._prefetches.discard)

    async def _prefetch(self, image: StoredImage) -> None:
        try:
            await self._instances(image)
        except RetouchError as error:
            logger.info("prefetch failed: %s", error.message, extra={"event": "prefetch"})

    async def _instances(
        self, image: StoredImage, then: Callable[[Instances], None] = lambda _: None
    ) -> tuple[str, Cached[Instances]]:
        """Under the key of the picture and the network's version, which may change meanwhile.

        `then` is called in the thread that asks the network for them, when that is needed.
        """
        for _ in range(_VERSION_TRIES):
            network = await self._network()
            key = f"{image.sha256}:{network.version}"
            try:
                return key, await self._cache.get(key, partial(self._compute, image, network, then))
            except _OtherVersionError:
                continue
        raise ModelUnavailableError("The segmentation model is being exchanged. Try again.")

    async def _network(self) -> ServedNetwork:
        known = self._backend.known_segmentation_network()
        if known is not None:
            return known
        return await self._in_thread(self._backend.segmentation_network)

    async def _compute(
        self, image: StoredImage, network: ServedNetwork, then: Callable[[Instances], None]
    ) -> Instances:
        decoded = await self._pictures.decoded(image.id)

        def run() -> Instances:
            instances = self._run_network(decoded.pixels, network)
            then(instances)
            return instances

        return await self._in_thread(run)

    def _run_network(self, pixels: Image, network: ServedNetwork) -> Instances:
        height, width = pixels.shape[:2]
        plan = plan_letterbox((width, height), network.size, stride=STRIDE)
        output = self._backend.segment(letterbox(pixels, plan))
        if output.version != network.version:
            raise _OtherVersionError
        return decode_detections(output.detections, output.prototypes, plan, levels=output.levels)

    async def _similarities(
        self, key: str, image: StoredImage, instances: Instances, prompts: Sequence[Prompt]
    ) -> Mapping[str, Floats]:
        """By text; empty without texts."""
        texts = {prompt.text for prompt in prompts if prompt.text}
        if not texts or not len(instances):
            return {}
        decoded = await self._pictures.decoded(image.id)
        return {
            text: await self._texts.similarity(key, decoded.pixels, instances, text)
            for text in texts
        }

    async def _in_thread(self, work: Callable[[], T]) -> T:
        context = contextvars.copy_context()  # the call to the network belongs to this trace
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, context.run, work)


class _OtherVersionError(Exception):
    """The model server answered with another version of the network than expected."""


def _settle(future: Future[R], work: Callable[[], R]) -> None:
    try:
        future.set_result(work())
    except Exception as error:
        future.set_exception(error)
